# SPDX-License-Identifier: BSD-2-Clause
"""--memory: resident memory grows where the kernel's own figures say so, by function and line.

Growth is sampled, one point in each stratum of 256 KiB, or more where memory grows fast: see
bpf/growth.bpf.c. So a figure has an error of known size, which is all that is allowed here.
"""
import os
import signal

import pytest

import harness

MB = 1 << 20
STRATUM, STRATUM_MAX = MB // 4, 2 * MB
PACE = 0.0008  # seconds: strata that took less are followed by larger ones


def record(interpreter):
    path = harness.output_path("%s-memory" % interpreter.name)
    outside, inside = interpreter.share("memory-%s" % interpreter.name)
    proc = os.open("/proc", os.O_RDONLY)
    command = interpreter.command("memory.py", "--proc", str(proc), "--directory", inside)
    with harness.Workload(command, pass_fds=(proc,)) as workload:
        os.close(proc)
        with harness.Recorder("-p", workload.pid, "-r", 99, "-o", path, "-q",
                              "--memory") as recorder:
            recorder.wait_started()
            os.kill(workload.pid, signal.SIGUSR1)
            done = recorder.wait()
            assert done.returncode == 0, done.stderr
        return harness.Recording(path, workload.stop(), done)


@pytest.fixture(scope="module")
def recording(core_interpreter):
    return record(core_interpreter)


def stratum(bytes_, seconds):
    """The largest that can have been reached at this pace; twice it, as the pace varies."""
    size = STRATUM
    while size < STRATUM_MAX and size * seconds / max(bytes_, 1) < 2 * PACE:
        size *= 2
    return size


def found(recording, name):
    functions = [each for each in recording.report["functions"]
                 if each["function"].split(".")[-1] == name]
    return sum(each.get("grown_total_bytes", 0) for each in functions)


def check(recording, name, wanted):
    """Growth in one go: only the strata at its two ends are shared with others, and each is charged
    to one or the other whole. The first is as large as what came before has left it."""
    error = STRATUM_MAX + stratum(wanted, recording.truth["measured"][name]["seconds"])
    assert abs(found(recording, name) - wanted) <= error + 0.01 * wanted, \
        "%s grew by %.1f MB, not %.1f" % (name, wanted / MB, found(recording, name) / MB)


ONE_BY_ONE = ["touch_pages", "read_then_write", "make_bytearray", "make_lists",
              "make_objects", "populate", "read_file"]
AT_LEAST = {"touch_pages": 48, "read_then_write": 24, "make_bytearray": 40,
            "make_lists": 72, "make_objects": 12, "populate": 32, "read_file": 32}


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_growth_is_what_the_kernel_counts(recording, name):
    grown = recording.truth["measured"][name]["grown"]
    assert grown >= (AT_LEAST[name] - 0.25) * MB, "the workload does not do what it should"
    check(recording, name, grown)


def test_huge_pages_count_whole_and_once(recording):
    measured = recording.truth["measured"]["touch_huge"]
    assert measured["grown"] >= 63 * MB
    assert abs(found(recording, "touch_huge") - measured["grown"]) <= 3 * MB


@pytest.mark.parametrize("name", ["write_after_fork", "map_file"])
def test_what_was_resident_or_is_page_cache_is_no_growth(recording, name):
    """Copies after a fork, and the pages of a file: many page faults, and no memory of its own."""
    measured = recording.truth["measured"][name]
    assert measured["grown"] <= MB and measured["faulted"] >= MB, \
        "the workload does not do what it should"
    check(recording, name, measured["grown"])


def test_shared_memory_is_not_the_process_own(recording):
    assert recording.truth["measured"]["touch_shared"]["grown"] >= 31 * MB
    check(recording, "touch_shared", 0)


@pytest.mark.parametrize("name", ["make_dict", "make_objects_again", "recurse", "touch_in_thread",
                                  "touch_in_other_thread"])
def test_growth_is_what_was_given(recording, name):
    """Where memory is given back between, or by other threads: as the thread's page faults say."""
    check(recording, name, recording.truth["measured"][name]["faulted"])


def test_memory_of_the_allocator_is_counted_once(recording):
    again, first = (found(recording, name) for name in ("make_objects_again", "make_objects"))
    assert again <= 0.1 * first + 2 * MB, (again / MB, first / MB)


@pytest.mark.parametrize("name", ["odd_runs", "even_runs"])
def test_a_rhythm_misleads_nobody(recording, name):
    """128 runs of half a stratum each: the variance is growth times stratum at most."""
    wanted = recording.truth["measured"][name]["faulted"]
    assert wanted >= 16 * MB
    # The largest strata that may be, as the mean pace says little of such short runs: 3 deviations.
    assert abs(found(recording, name) - wanted) <= 3 * (wanted * STRATUM_MAX) ** 0.5


def lines(recording, name):
    """{line within the function: bytes}"""
    function = next(each for each in recording.report["functions"]
                    if each["function"].split(".")[-1] == name)
    return {int(line) - function["line"]: bytes_
            for line, bytes_ in function["grown_lines"].items()}


def test_growth_is_in_its_line(recording):
    grown, size = lines(recording, "make_lists"), 2 * STRATUM_MAX
    assert set(grown) == {1, 2}
    assert abs(grown[1] - 24 * MB) <= size and abs(grown[2] - 48 * MB) <= size, grown
    grown = lines(recording, "read_then_write")
    # A page or two of the interpreter's own may be touched at first in any line.
    assert grown[4] >= 0.7 * sum(grown.values()), grown


def test_the_sum_is_that_of_all_memory_given(recording):
    """Strata are of a thread's whole growth: the errors of its functions cancel out."""
    measured = recording.truth["measured"]
    names = ONE_BY_ONE + ["touch_huge", "write_after_fork", "map_file"]
    wanted = sum(measured[name]["grown"] for name in names)
    whole = sum(found(recording, name) for name in names)
    assert abs(whole - wanted) <= 0.04 * wanted, (whole / MB, wanted / MB)


def test_nothing_was_lost(recording):
    assert not {reason: count for reason, count in recording.lost().items()
                if reason not in ("wait_stack",)}


def test_the_report_names_the_functions_and_their_lines(recording):
    done = harness.run("report", recording.path, "-n", "40")
    text = done.stdout[done.stdout.index("memory grown in"):]
    first = next(line for line in text.splitlines() if " make_lists " in line)
    line = recording.truth["measured"]["make_lists"]["first"] + 2
    assert "memory.py" in first and "in line %d" % line in first, first


def test_numpy_arrays(python):
    recording = record(python)
    if "grow_array" not in recording.truth["measured"]:
        pytest.skip("no numpy in %s" % python)
    for name in ("grow_array", "touch_array"):
        grown = recording.truth["measured"][name]["grown"]
        assert grown >= 47 * MB
        check(recording, name, grown)


def test_without_the_option_nothing_is_said_of_memory(python):
    path = harness.output_path("no-memory")
    done = harness.run("record", "-q", "-o", path, "--", python.find(), "-c", "b'x' * (64 << 20)")
    assert done.returncode == 0, done.stderr
    report = harness.Recording(path).report
    assert not any(key.startswith("grown") for each in report["functions"] for key in each)
