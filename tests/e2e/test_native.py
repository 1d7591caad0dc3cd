# SPDX-License-Identifier: BSD-2-Clause
"""Native frames: in one stack with Python's, in the order of their calls, whole, and rightly named.

workloads/native_calls.py calls C in every way that Python does. What is in the stack is known from
its own structure, from the files that the code is in, and from the C library's unwinder.
"""
import collections
import os
import re

import pytest

import harness
import native
from conftest import missing
from interpreters import REQUIRED, Missing
from test_applications import environment  # noqa: F401: a fixture

APART = 0.15
ROOT = ["<module>", "main", "rounds", "drive"]
WARM_UP = ["<module>", "main", "warm_up"]
THREAD = "in_thread"
# The machine's clock; these the kernel lets a process read without its help.
CLOCK = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
USER_CLOCKS = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page"}


class C(collections.namedtuple("C", "module name")):
    """A frame of a module, in a function of this name if the module has symbols that say so."""

    def __new__(cls, module, name=None):
        return super().__new__(cls, module, name)

    def is_at(self, recording, frame):
        if not frame.native or not re.match(self.module, recording.module(frame)):
            return False
        elf = recording.elf(frame.module) if frame.module else None
        required = self.name and (not elf or self.name in map(native.demangled, elf.all_names))
        return frame.name == self.name if required else True


def extension(name):
    """A module of the standard library, which can be part of the interpreter."""
    return r"(%s\.|(lib)?python3)" % name


INTERPRETER = r"(lib)?python3\.\d+"
PROBE, CTYPES, LIBC = r"native_probe\.", extension("_ctypes"), r"libc\.so|libc-2"
SIGNALLED = [C(PROBE, "trap"), C(PROBE, "trap_here"), C(LIBC), C(PROBE, "on_trap"),
             C(PROBE, "probe_burn")]


class Case(collections.namedtuple("Case", "steps tails share")):
    """A phase of the workload.

    `steps` must be in the stack above drive()'s frame, Python's (strings, or several of which one)
    with no other Python frame between: in `share` of the samples in the phase. `tails` are the
    Python frames that there can be above the phase's own.
    """

    def __new__(cls, *steps, tails=(), share=0.95):
        return super().__new__(cls, steps, [[]] + [list(tail) for tail in tails], share)


CASES = {
    "compress": Case("compress", C(extension("zlib"), "zlib_compress"),
                     C(r"libz\.so", "deflate")),
    "digest": Case("digest", C(extension("_hashlib")), C(r"libcrypto\.so")),
    "query": Case("query", C(extension("_sqlite3")), C(r"libsqlite3\.so", "sqlite3_step")),
    "match": Case("match", C(extension("_sre"), "sre_ucs1_match")),
    "load": Case("load", "loads", "decode", "raw_decode", C(extension("_json")),
                 tails=[["loads", "decode", "raw_decode"]], share=0.8),  # and frees it all
    "burn": Case("burn", C(PROBE, "burn"), C(PROBE, "probe_burn")),
    "deleted": Case("deleted", C(r"native_deleted\.", "native_deleted_burn")),
    # Until the profiler has looked at what is new in the process, it can tell nothing of it.
    "late": Case("late", C(r"native_late\.", "native_late_burn"), share=0.4),
    "throw": Case("throw", C(r"native_exceptions\.", "thrower::outer"), share=0.9),
    # The kernel has a part in it.
    "handler": Case("handler", C(PROBE, "burn_in_handler"), *SIGNALLED, share=0.85),
    "handler_elsewhere": Case("handler_elsewhere", C(PROBE, "burn_in_handler_elsewhere"),
                              *SIGNALLED, share=0.85),
    "generated": Case("generated", C("", "generated_loop")),
    "read_clock": Case("read_clock", C(PROBE, "probe_clock")),
    "read_time": Case("read_time"),
    "order": Case("order", C(INTERPRETER, "builtin_sorted"), "order_key",
                  tails=[["order_key", "spin"]]),
    "compare": Case("compare", C(INTERPRETER, "builtin_sorted"), "__lt__",
                    tails=[["__lt__", "spin"]]),
    "finalize": Case("finalize", C(INTERPRETER, "subtype_dealloc"), "__del__",
                     tails=[["__init__"], ["__del__", "spin"]], share=0.9),
    "construct": Case("construct", "__init__", tails=[["__init__", "spin"]]),
    "attribute": Case("attribute", "__getattr__", tails=[["__getattr__", "spin"]]),
    "quick_order": Case("quick_order", C(CTYPES), C(LIBC, "qsort_r"), C(CTYPES), "quick_compare",
                        tails=[["quick_compare", "spin"]], share=0.9),
    "generate": Case("generate", C(INTERPRETER, "builtin_sum"), "produce",
                     tails=[["produce", "spin"]]),
    "reduce_mapped": Case("reduce_mapped", C(extension("_functools"), "functools_reduce"),
                          ("add_up", "double"), tails=[["add_up", "spin"], ["double", "spin"]]),
    "execute": Case("execute", C(INTERPRETER, "builtin_exec"), "<module>",
                    tails=[["<module>", "<listcomp>"]]),
    "send": Case("send", "outermost", "middle", "innermost",
                 tails=[["outermost", "middle", "innermost", "spin"],
                        ["outermost", "middle", "innermost", "pause"]], share=0.9),
    "nest": Case("nest", "py_1", C(PROBE, "call_plain"), C(PROBE, "invoke_plain"),
                 "py_2", C(PROBE, "call_aligned"), C(PROBE, "invoke_aligned"),
                 "py_3", C(PROBE, "call_alloca"), C(PROBE, "invoke_alloca"),
                 "py_4", C(PROBE, "call_without_pointer"), C(PROBE, "invoke_without_pointer"),
                 "py_5", "py_6", C(PROBE, "call_many"), C(PROBE, "invoke_many"),
                 "py_7", "py_8", C(PROBE, "burn"), C(PROBE, "probe_burn"),
                 tails=[["py_%d" % at for at in range(1, 9)]]),
    "start_thread": Case("start_thread", C(PROBE, "call_in_thread"), C(PROBE, "probe_run_thread")),
    "python_loop": Case("python_loop"),
}
IN_THREAD = Case(C(PROBE, "probe_thread"), C(PROBE, "invoke_plain"), THREAD, C(PROBE, "burn"),
                 C(PROBE, "probe_burn"))


@pytest.fixture
def recording(interpreter, recordings):
    return made(recordings, interpreter, "native")


def made(recordings, interpreter, recipe, required=True):
    try:
        return recordings(interpreter, recipe)
    except Missing as error:
        return missing(str(error), required and interpreter.version in REQUIRED)


def names(frames):
    """The last part of each name: they are qualified from 3.11 on."""
    return [frame.name.split(".")[-1] for frame in frames]


def phase_of(sample):
    """The phase that a sample was taken in; None: in none, or in a thread that has no Python root."""
    python = names(sample.python[:len(ROOT) + 1])
    return python[len(ROOT)] if python[:-1] == ROOT and python[-1] in CASES else None


def of_phase(recording, name):
    return [sample for sample in recording.profile.samples if phase_of(sample) == name]


def of_thread(recording):
    return [sample for sample in recording.profile.samples if names(sample.python[:1]) == [THREAD]]


def fits(recording, frames, steps):
    """Whether all of the steps are there, in order."""
    at = 0
    for frame in frames:
        if at == len(steps):
            return True
        step = steps[at]
        if frame.python:
            if isinstance(step, C) or names([frame])[0] not in (
                    step if isinstance(step, tuple) else (step,)):
                return False
            at += 1
        elif isinstance(step, C) and step.is_at(recording, frame):
            at += 1
    return at == len(steps)


def above(sample, index):
    """The frames from the given Python frame on."""
    at = -1
    for position, frame in enumerate(sample.stack):
        at += frame.python
        if at == index:
            return sample.stack[position:]
    return []


def shown(frames):
    """A stack for a message."""
    return "; ".join("%s%s" % (frame.name, "" if frame.python else " (%s)" %
                               os.path.basename(frame.module)) for frame in frames)


def most(recording, stacks):
    """The most frequent stacks, for a message."""
    counts = collections.Counter()
    for sample, frames in stacks:
        counts[shown(frames)] += recording.count([sample])
    return "\n".join("%.0f × %s" % (count, text) for text, count in counts.most_common(4))


def check_steps(recording, stacks, steps, share):
    """stacks: [(sample, its frames from where the steps begin)].

    Those of a thread that is ready to run can each have the weight of many that are taken by the
    clock, and are left out.
    """
    stacks = [each for each in stacks if each[0].state != "runqueue"]
    wrong = [(sample, frames) for sample, frames in stacks if not fits(recording, frames, steps)]
    check_share(recording, wrong, [sample for sample, _ in stacks], 1 - share)


def is_cut(frames):
    """Whether native frames are missing and the stack says so: by a notice, or by having none."""
    native = [frame for frame in frames if frame.native]
    return not native or any(frame.notice for frame in native)


def check_share(recording, wrong, samples, share):
    """That at most `share` of the samples are wrong, and of few not two: [(sample, frames)].

    Until the first tables are there stacks are cut, and counted. That is a tenth of a second, which
    can be a good part of what is recorded of one phase.
    """
    whole = recording.count(samples)
    assert whole >= 10, "%.0f samples" % whole
    cut = recording.count(sample for sample, frames in wrong if is_cut(frames))
    failed = recording.count(sample for sample, _ in wrong) - min(
        cut, recording.report["lost"].get("native_pending", 0))
    assert failed <= share * whole + 2, "%.0f of %.0f samples, lost %s:\n%s" % (
        failed, whole, recording.report["lost"], most(recording, wrong))


@pytest.mark.parametrize("name", CASES)
def test_frames_are_in_the_order_of_calls(recording, name):
    stacks = [(sample, above(sample, len(ROOT))) for sample in of_phase(recording, name)]
    check_steps(recording, stacks, CASES[name].steps, CASES[name].share)


def test_frames_of_a_thread_that_c_started(recording):
    stacks = [(sample, sample.stack) for sample in of_thread(recording)]
    check_steps(recording, stacks, IN_THREAD.steps, IN_THREAD.share)
    assert {sample.labels["tid"] for sample, _ in stacks}.isdisjoint({recording.truth["tid"]})


def test_python_frames_are_those_of_the_workload(recording):
    """None missing, none out of order, whatever native frames are between them: in all samples."""
    wrong = []
    for sample in recording.profile.samples:
        python = names(sample.python)
        if not python or python[:4] == ROOT[:3] + ["import_native"]:
            continue  # what importlib calls is its own affair
        if not any(python == known[:len(python)] for known in possible()):
            wrong.append((sample, sample.python))
    assert not wrong, most(recording, wrong)


def possible():
    """All stacks of Python functions that the workload can have, to their innermost ends."""
    yield [THREAD]
    yield ROOT[:3] + ["is_set"]
    yield WARM_UP + ["is_set"]
    yield ROOT[:3] + ["calibrate", "measure", "late"]
    for clock in ("cpu", "runqueue"):
        yield ROOT + ["__enter__", clock]
        yield ROOT + ["__exit__", clock]
    for name, case in CASES.items():
        for tail in case.tails:
            yield ROOT + [name] + tail
            yield WARM_UP + [name] + tail


def burners(recording):
    """Samples in a function that notes its callers: (sample, burner, frames of its callers)."""
    for sample in recording.profile.samples:
        for at in range(len(sample.stack) - 1, -1, -1):
            frame = sample.stack[at]
            if frame.name in ("probe_burn", "probe_clock") and frame.native and \
                    recording.module(frame).startswith("native_probe"):
                yield sample, frame.name, sample.stack[:at]
                break


def test_callers_are_those_that_the_c_library_finds(recording):
    """Frame by frame, to the process' first, but for the interpreter's loop."""
    truth = native.Truth(recording)
    found = [each for each in burners(recording) if phase_of(each[0])]
    phases = {"burn", "handler", "handler_elsewhere", "nest"} & set(recording.truth["phases"])
    assert {phase_of(sample) for sample, _, _ in found} >= phases
    best = None
    for loops in truth.loops():
        wrong = [(sample, frames) for sample, burner, frames in found
                 if not any(truth.fits(frames, noted, loops) for noted in truth.stacks[burner])]
        if best is None or len(wrong) < len(best):
            best = wrong
    check_share(recording, best, [sample for sample, _, _ in found], 0.02)


def test_stacks_are_whole(recording):
    truth = native.Truth(recording)
    taken = [sample for sample in recording.profile.samples
             if phase_of(sample) not in (None, "digest", "generated", "late")]
    running = [sample for sample in taken if sample.state == "running"]
    for samples, share in ((running, 0.01), (taken, 0.02)):
        check_share(recording, [(sample, sample.stack) for sample in samples
                                if not truth.is_complete(sample)], samples, share)


def test_what_is_cut_is_counted(recording):
    truth, lost = native.Truth(recording), recording.report["lost"]
    # A sample of a wait stands for as many periods as it has, but was counted once.
    running = [sample for sample in recording.profile.samples if sample.state == "running"]
    partial = recording.count(sample for sample in running if not truth.is_complete(sample))
    counted = sum(count for reason, count in lost.items() if reason.startswith("native_"))
    # Samples are scaled to the ledger: a few percent.
    assert partial <= 1.1 * counted + 0.001 * recording.count(running), (partial, lost)
    assert lost.get("native_pending", 0) <= 0.2 * native.RATE, lost
    # A thread can have moved on while its stack is read from outside.
    assert sum(lost.values()) - counted <= 2, lost


def test_the_interpreters_loop_is_not_shown(recording):
    for function in recording.report["functions"]:
        assert native.LOOP not in function["function"]
    for sample in recording.profile.samples:
        assert not any(native.LOOP in frame.name for frame in sample.stack), shown(sample.stack)


def test_calls_between_python_functions_have_nothing_between(recording):
    """From 3.11 on the interpreter calls them without calling itself."""
    if tuple(recording.truth["version"][:2]) < (3, 11):
        pytest.skip("the interpreter calls itself for each Python function")
    for sample in of_phase(recording, "nest"):
        shown_names = [frame.name for frame in sample.stack]
        for caller, callee in (("py_5", "py_6"), ("py_7", "py_8"), ("main", "rounds")):
            if callee in shown_names:
                assert shown_names.index(callee) == shown_names.index(caller) + 1, \
                    shown(sample.stack)


def test_modules_and_names_are_those_of_the_files(recording):
    wrong = native.check_locations(recording)
    assert not wrong, "\n".join(wrong)
    modules = {recording.module(frame) for frames in recording.profile.frames.values()
               for frame in frames if frame.native and frame.module}
    for module in ("libz.so", "libcrypto.so", "libsqlite3.so", "native_probe", "native_late",
                   "native_deleted", "native_exceptions", "libc.so", "libgcc_s.so"):
        assert any(each.startswith(module) for each in modules), (module, modules)


def test_the_kernels_library_in_each_process(recording):
    with open(CLOCK) as file:
        if file.read().strip() not in USER_CLOCKS:
            pytest.skip("reading this machine's clock takes a system call")
    truth = native.Truth(recording)
    for phase in ("read_clock", "read_time"):
        inside = [sample for sample in of_phase(recording, phase)
                  if any(frame.module == "[vdso]" for frame in sample.stack)]
        whole = recording.count(of_phase(recording, phase))
        assert recording.count(inside) >= 0.05 * whole, (phase, len(inside))
        wrong = [(sample, sample.stack) for sample in inside if not truth.is_complete(sample)]
        check_share(recording, wrong, of_phase(recording, phase), 0.01)


def test_code_of_a_file_is_not_called_generated(recording):
    """But for the moments in which the C++ library has another frame's registers in its own."""
    taken = [sample for sample in recording.profile.samples
             if "generated" not in names(sample.python)]
    wrong = [(sample, sample.stack) for sample in taken
             if any(frame.name == "[generated code]" for frame in sample.stack)]
    check_share(recording, wrong, taken, 0.005)


def test_generated_code_is_named_by_its_process(recording):
    assert "generated_loop" in {each["function"] for each in recording.report["functions"]}


def function(recording, name, kind="python"):
    found = [each for each in recording.functions(name) if each["kind"] == kind]
    assert len(found) == 1, "%d %s functions are named %r" % (len(found), kind, name)
    return found[0]


def leaves(samples):
    """Seconds of what was running."""
    seconds = collections.Counter()
    for sample in samples:
        if sample.state == "running":
            seconds[sample.labels["leaf"]] += sample.seconds
    return seconds


def check_split(split, most_of):
    """That the time outside of the kernel, to which memory is due, is nearly all of one kind."""
    own = split["native"] + split["python"]
    assert split[most_of] >= 0.9 * own and own >= 0.7 * sum(split.values()), split


def test_running_is_split_into_python_and_native(recording):
    for phase in ("compress", "digest", "query", "burn", "deleted", "throw", "generated",
                  "python_loop"):
        most_of = "python" if phase == "python_loop" else "native"
        check_split(leaves(of_phase(recording, phase)), most_of)
        check_split(function(recording, phase)["running"], most_of)


def test_time_in_c_is_charged_to_the_line_that_called_it(recording):
    for phase, callee in (("compress", "deflate"), ("query", "sqlite3_step"),
                          ("deleted", "native_deleted_burn"), ("burn", None)):
        caller = function(recording, phase)
        total = caller["total"]["running"]
        line = caller["lines"].get(str(recording.truth["phases"][phase]["line"]), {})
        assert line.get("running", 0) >= 0.95 * total, (phase, caller)
        assert caller["self"]["running"] >= 0.99 * total
        if callee:
            early = sum(sample.seconds for sample in recording.running()
                        if names(sample.python[:4]) == WARM_UP + [phase])
            found = function(recording, callee, "native")["total"]["running"]
            assert 0.9 * (total - early) <= found <= 1.001 * total, (phase, early, found, total)


def check_shares(recording):
    """The phases' shares of the time, against the thread's own clock."""
    seconds = collections.Counter()
    for sample in recording.running():
        if sample.labels["tid"] == recording.truth["tid"] and phase_of(sample):
            seconds[phase_of(sample)] += sample.seconds
    clocks = {name: phase["cpu"] for name, phase in recording.truth["phases"].items()}
    whole, total = sum(seconds.values()), sum(clocks.values())
    apart = {name: seconds[name] / whole - clocks[name] / total for name in clocks}
    # The shares are of turns of 10 ms; a recording has five of each.
    assert sum(map(abs, apart.values())) / 2 <= APART, apart


def test_shares_are_those_of_the_threads_clock(recording):
    check_shares(recording)


def test_threads_that_c_started_burn_what_the_process_does(recording):
    """By the process' clock, for that of a thread makes the kernel count what the thread has run."""
    phase = recording.truth["phases"]["start_thread"]
    others = [thread for tid, thread in recording.threads.items()
              if tid != recording.truth["tid"]]
    seconds = sum(thread["seconds"] for thread in others)
    running, queued = (sum(thread["states"].get(state, 0) for thread in others)
                       for state in ("running", "runqueue"))
    # Of its time outside of the thread's own a thread needs some to begin and to end. The machine
    # may give these few threads a CPU later than those that were not recorded.
    share = (phase["process"] - phase["cpu"]) / phase["elapsed"]
    assert running >= 0.8 * share * (seconds - queued), (running, queued, seconds, share)


def test_collapsed_stacks_name_the_module(recording):
    done = harness.run("report", "-f", "collapsed", recording.path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"compress \(.*native_calls\.py:\d+\);.*deflate \(libz\.so[.\d]*\)",
                     done.stdout)


def test_without_native_stacks(core_interpreter, recordings):
    recording = made(recordings, core_interpreter, "no_native")
    assert not [frame for sample in recording.profile.samples for frame in sample.stack
                if frame.native and not frame.notice]
    assert not [each for each in recording.report["functions"]
                if each["kind"] == "native" and not each["function"].startswith(("[", "<gc "))]
    assert not recording.unexplained_losses()
    check_shares(recording)
    # Without stacks, what the interpreter's loop calls in other files is taken for native code.
    test_python_frames_are_those_of_the_workload(recording)
    caller = function(recording, "compress")
    line = caller["lines"][str(recording.truth["phases"]["compress"]["line"])]
    assert line["running"] >= 0.95 * caller["total"]["running"]


def test_a_process_that_is_recorded_from_its_start(core_interpreter, recordings):
    recording = made(recordings, core_interpreter, "launched")
    for name in native.FEW_PHASES:
        test_frames_are_in_the_order_of_calls(recording, name)
    test_callers_are_those_that_the_c_library_finds(recording)


def test_an_interpreter_inside_another_program(interpreter, recordings):
    recording = made(recordings, interpreter, "embedded", interpreter.name.endswith("machine"))
    for sample in of_phase(recording, "nest"):
        outer = [frame.name for frame in sample.stack if frame.native][:6]
        assert outer[0] == "_start" and "run_script" in outer, shown(sample.stack)
    for name in native.FEW_PHASES:
        test_frames_are_in_the_order_of_calls(recording, name)
    test_python_frames_are_those_of_the_workload(recording)
    test_callers_are_those_that_the_c_library_finds(recording)
    test_stacks_are_whole(recording)


def test_python_that_names_its_code_for_perf(interpreter, recordings):
    """-X perf puts a piece of generated code below each Python function, named in perf-PID.map.

    It says no more than the function's own frame, and is not shown. No unwind table describes it,
    so that of the native frames some may be missing.
    """
    if interpreter.version < (3, 12):
        pytest.skip("CPython has -X perf from 3.12 on")
    recording = made(recordings, interpreter, "perf")
    test_python_frames_are_those_of_the_workload(recording)
    generated = [(sample, sample.stack) for sample in recording.profile.samples
                 if any(frame.native and not frame.notice and (
                     not frame.module or frame.name.startswith("py::")) for frame in sample.stack)]
    check_share(recording, generated, recording.profile.samples, 0.01)


def test_numpy(interpreter, environment):  # noqa: F811
    """Of the assembly written by hand the native part may be missing, of Python nothing."""
    try:
        packages = native.install_numpy(interpreter, environment)
    except Missing as error:
        missing(str(error), False)
    recording = native.record_numpy(interpreter, packages, 1)
    steps = {"multiply": ["multiply", C(r".*openblas|_multiarray_umath\.")],
             "elementwise": ["elementwise", C(r"_multiarray_umath\.")],
             "apply": ["apply", C(r"_multiarray_umath\.|_umath"), "applied"]}
    known = ["<module>", "main", "drive"]
    phases = collections.defaultdict(list)
    for sample in recording.profile.samples:
        python = names(sample.python)
        if python[:3] == known and python[3:4] and python[3] in steps:
            tail = ["apply", "applied", "spin"] if python[3] == "apply" else [python[3]]
            assert python[3:] == tail[:len(python) - 3], python
            phases[python[3]].append((sample, above(sample, 3)))
    for name, case in steps.items():
        check_steps(recording, phases[name], case, 0.95)
    for name in ("multiply", "elementwise"):
        check_split(leaves([sample for sample, _ in phases[name]]), "native")
    taken = phases["elementwise"] + phases["apply"]
    wrong = [each for each in taken if any(frame.notice for frame in each[1])]
    check_share(recording, wrong, [sample for sample, _ in taken], 0.01)
