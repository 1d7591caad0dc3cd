# SPDX-License-Identifier: BSD-2-Clause
"""Garbage collections: how many of which generation, how long they take, and who sets them off.

Each interpreter as it is, with USDT probes or a symbol for a probe on the collector, and a copy of
it that has neither: there the interpreter's flag at each sample and its own counters must do.
"""
import math
import os
import shutil
import signal
import subprocess

import pytest

import harness
from conftest import missing
from interpreters import BUILD

RATE = 999
FINALIZERS = {"Node.__del__", "__del__", "finalize"}
CALLBACKS = {"stopwatch", "name_of"}


def interpreter_file(interpreter):
    """(path as the tests see it, whether it is a library) of the file that has the interpreter."""
    path = interpreter.find()
    if interpreter.root:
        return interpreter.outside(path), False
    done = subprocess.run([path, "-c", "print(open('/proc/self/maps').read())"], check=True,
                          stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
        if "/libpython3" in line:
            return line.split()[-1], True
    return os.path.realpath(path), False


class Blind:
    """A copy of an interpreter without symbols and without the notes that tell of its probes."""

    def __init__(self, interpreter):
        self.interpreter, self.name = interpreter, interpreter.name + "-blind"
        source, library = interpreter_file(interpreter)
        directory = os.path.join(BUILD, "e2e", self.name)
        inside = directory
        if interpreter.root:
            inside = "/tmp/pyebpf-blind"
            directory = interpreter.outside(inside)
        os.makedirs(directory, exist_ok=True)
        copy = os.path.join(directory, os.path.basename(source))
        subprocess.run(["objcopy", "--strip-all", "--remove-section=.note.stapsdt", source, copy],
                       check=True)
        self.environment = ["env", "LD_LIBRARY_PATH=" + directory] if library else []
        self.path = interpreter.find() if library else \
            os.path.join(inside, os.path.basename(source))

    def command(self, script, *arguments):
        command = self.interpreter.command(script, *arguments)
        command[command.index(self.interpreter.find())] = self.path
        return self.environment + command


def record(interpreter, *arguments):
    """All that the workload collects lies inside the recording."""
    path = harness.output_path("%s-garbage%s" % (interpreter.name, "".join(arguments)))
    with harness.Workload(interpreter.command("garbage.py", *arguments)) as workload:
        with harness.Recorder("-p", workload.pid, "-r", RATE, "-o", path, "-q") as recorder:
            recorder.wait_started()
            os.kill(workload.pid, signal.SIGUSR1)
            assert workload.line() == "done\n"
            recorder.process.send_signal(signal.SIGINT)
            done = recorder.wait()
        assert done.returncode == 0, done.stderr
        truth = workload.stop()
    return harness.Recording(path, truth, done)


@pytest.fixture(scope="module")
def recording(interpreter):
    return record(interpreter)


@pytest.fixture(scope="module")
def sampled(interpreter):
    if not shutil.which("objcopy"):
        missing("objcopy is not installed", True)
    return record(Blind(interpreter))


def collecting(recording):
    """(the <gc …> frame's name, names of Python functions inside it, who set it off, sample)"""
    for sample in recording.profile.samples:
        marks = [at for at, frame in enumerate(sample.stack)
                 if frame.name.startswith("<gc") and not frame.python]
        if not marks or not sample.seconds:
            continue
        at = marks[0]
        assert len(marks) == 1, "one collection, one frame"
        outside = [frame.name for frame in sample.stack[:at] if frame.python]
        inside = {frame.name for frame in sample.stack[at:] if frame.python}
        yield sample.stack[at].name, inside, outside[-1], sample


def seconds(samples):
    return sum(sample.seconds for *_, sample in samples)


def spread(expected):
    """By how much a sum of samples may differ: four standard deviations."""
    return 4 * math.sqrt(expected / RATE) + 1 / RATE


def away(truth):
    """Seconds without a CPU, some of which were in the callbacks: the stopwatch went on."""
    return sum(truth["elapsed"]) - sum(truth["cpu"])


def test_every_collection_is_timed(recording):
    found, truth = recording.report["gc"], recording.truth
    expected = "uprobe" if "pyenv" in recording.path and truth["version"] >= [3, 8] else "usdt"
    if truth["version"] < [3, 8]:
        pytest.skip("not from samples alone before 3.8")
    assert found["by"] == expected
    assert found["deviation_s"] == 0
    assert found["collections"] == truth["count"]


def test_seconds_are_those_of_the_stopwatch(recording):
    found, truth = recording.report["gc"], recording.truth
    expected = sum(truth["elapsed"])
    allowed = 0.05 * expected + away(truth)
    if found["by"] == "sampled":
        allowed += 4 * found["deviation_s"] + callbacks(recording)
    assert abs(found["seconds"] - expected) <= allowed, (found, truth)
    if "longest_s" in found:
        assert abs(found["longest_s"] - truth["longest"]) <= \
            0.05 * truth["longest"] + away(truth), (found, truth)


def callbacks(recording):
    """Samples of callbacks, during which the flag is set and the stopwatch does not run."""
    return seconds(each for each in collecting(recording) if (each[1] | {each[2]}) & CALLBACKS)


def test_each_function_has_what_it_set_off(recording):
    truth = recording.truth
    if recording.report["gc"]["by"] == "sampled":
        pytest.skip("the flag does not tell what a finalizer interrupts")
    for name, watch in truth["functions"].items():
        found = seconds(each for each in collecting(recording) if each[2] == name)
        # Before 3.11 names are not qualified, and a few collections are in library functions.
        if watch["elapsed"] < 0.01:
            continue
        assert abs(found - watch["elapsed"]) <= 0.05 * watch["elapsed"] + spread(watch["cpu"]) + \
            away(truth), (name, found, watch)
        rows = recording.functions(name)
        assert abs(sum(row["gc_s"] for row in rows) - found) <= 1e-6


def test_finalizers_run_inside_a_collection(recording):
    if recording.report["gc"]["by"] == "sampled":
        pytest.skip("the flag does not tell what a finalizer interrupts")
    found = [each for each in collecting(recording) if each[1] & FINALIZERS]
    assert found
    assert seconds(each for each in found if each[2] == "collect_middle") >= \
        0.9 * seconds(found) - 2 / RATE


def test_a_return_probe_leaves_native_stacks_whole(recording):
    """It puts an address of its own where the collector's return address was."""
    broken = [each for each in collecting(recording)
              if any(frame.name == "[native frames missing]" for frame in each[3].stack)]
    # The recording begins before the tables for native stacks are made.
    early = recording.report["lost"].get("native_pending", 0) / RATE
    assert seconds(broken) <= 0.05 * seconds(collecting(recording)) + early


def test_each_generation_has_its_time(recording):
    truth = recording.truth
    if truth["version"] < [3, 9]:
        pytest.skip("only the number of collections tells generations there")
    for generation in range(3):
        name = "<gc generation %d>" % generation
        found = seconds(each for each in collecting(recording) if each[0] == name)
        expected = truth["elapsed"][generation]
        assert abs(found - expected) <= 0.05 * expected + spread(expected) + away(truth), \
            (name, found, truth)


def test_without_probes_the_interpreter_counts(sampled):
    found, truth = sampled.report["gc"], sampled.truth
    assert found["by"] == "sampled"
    assert found["collections"] == truth["count"]
    assert "longest_s" not in found


def test_without_probes_seconds_are_sampled(sampled):
    found, truth = sampled.report["gc"], sampled.truth
    expected = sum(truth["elapsed"])
    if truth["version"] >= [3, 15]:  # which keeps the time itself
        assert found["deviation_s"] == 0
        assert abs(found["seconds"] - expected) <= 0.05 * expected + away(truth), (found, truth)
        return
    assert found["deviation_s"] == pytest.approx(math.sqrt(found["seconds"] / RATE), rel=0.01)
    # Callbacks are part of a collection by the flag; the stopwatch begins and ends in them.
    difference = found["seconds"] - callbacks(sampled) - expected
    assert abs(difference) <= 0.05 * expected + 4 * found["deviation_s"] + away(truth), \
        (found, truth)


def test_without_probes_functions_are_sampled(sampled):
    truth, set_off = sampled.truth, {}
    for _, inside, function, sample in collecting(sampled):
        # What a finalizer interrupts is not known there (but in 3.15): it stands for itself.
        name = "collect_middle" if (inside | {function}) & FINALIZERS else function
        set_off[name] = set_off.get(name, 0) + sample.seconds
    for name, watch in truth["functions"].items():
        if watch["elapsed"] >= 0.01:
            assert abs(set_off.get(name, 0) - watch["elapsed"]) <= 0.05 * watch["elapsed"] + \
                spread(watch["cpu"]) + away(truth), (name, set_off, watch)


def test_the_report_says_which_way_was_used(recording, sampled):
    for one, word in ((recording, {"usdt": "USDT", "uprobe": "uprobe"}), (sampled, {})):
        text = " ".join(harness.run("report", one.path).stdout.split())
        by = one.report["gc"]["by"]
        assert "garbage collection:" in text
        if by in word:
            assert "timed" in text and "(%s)" % word[by] in text
        else:
            assert "ounted" in text and "by the interpreter" in text


def test_collections_of_another_interpreter(core_interpreter):
    recording = record(core_interpreter, "--interpreters")
    assert recording.truth["other"] or recording.truth["version"] < [3, 9], "not in this build"
    assert recording.report["gc"]["collections"] == recording.truth["count"]
