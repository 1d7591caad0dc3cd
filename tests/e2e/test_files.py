# SPDX-License-Identifier: BSD-2-Clause
"""Files: whose path a wait was for, how often and how long, on a file system of known slowness."""
import os
import signal

import pytest

import harness
import slow_files

BRIEF_NAME = "brief"


@pytest.fixture(scope="module")
def recording(core_interpreter):
    path = harness.output_path("%s-files" % core_interpreter.name)
    outside, inside = core_interpreter.share("files")
    with slow_files.SlowFiles(outside) as files:
        with harness.Workload(core_interpreter.command("files.py", "--directory", inside)) as workload:
            with harness.Recorder("-p", workload.pid, "-r", 199, "-o", path, "-q") as recorder:
                recorder.wait_started()
                os.kill(workload.pid, signal.SIGUSR1)
                done = recorder.wait()
                assert done.returncode == 0, done.stderr
            truth = workload.stop()
        truth["asked"] = files.asked
    truth["top"] = outside, inside
    return harness.Recording(path, truth, done)


def targets(recording, name):
    return [each for each in recording.report["targets"] if each["function"] == name]


def shown(recording, path):
    """A path as the machine has it, not as a process in a chroot; bytes that are no UTF-8 as \\xNN."""
    outside, inside = recording.truth["top"]
    return os.fsencode(path.replace(inside, outside, 1)).decode("utf-8", "backslashreplace")


KEPT_OPEN = ["read_plain", "sync_plain", "read_long", "read_bytes_name", "read_first_twin",
             "read_second_twin", "read_renamed", "read_deleted"]


@pytest.mark.parametrize("name", KEPT_OPEN)
def test_the_whole_path_with_all_its_waits(recording, name):
    """Each call waits once, for four periods: counted exactly, and as long as the stopwatch says."""
    rows = [each for each in targets(recording, name) if each["state"] == "file"]
    wanted = shown(recording, recording.truth["targets"][name])
    if name == "read_deleted":
        wanted += " (deleted)"
    assert [each["target"] for each in rows] == [wanted]
    watch = recording.truth["waits"][name]
    assert rows[0]["waits"] == recording.truth["rounds"] == watch["count"]
    # The time away may be spent in the run queue, when others have the CPUs.
    queued = recording.function(name)["total"].get("runqueue", 0)
    away = watch["elapsed"] - watch["cpu"]
    assert rows[0]["seconds"] >= 0.95 * slow_files.DELAY * watch["count"]
    assert -0.05 * away - queued <= rows[0]["seconds"] - away <= 0.05 * away


def test_files_that_are_closed_at_once_have_their_directory(recording):
    """Of two files with one name, each is waited for as often as it was read."""
    rows = {}
    for each in targets(recording, "read_briefly"):
        if each["target"].endswith(BRIEF_NAME) and each["state"] == "file":
            tail = each["target"][-len("d1/brief"):]
            rows[tail] = rows.get(tail, 0) + each["waits"]
    # close() waits, too, if only for as long as an answer takes: captured by chance.
    rounds = recording.truth["rounds"]
    assert set(rows) == {"d1/brief", "d2/brief"}
    assert all(count == rounds for count in rows.values()), rows


def test_all_that_waits_for_a_file_system_is_file(recording):
    """open() and close() too, which ask the file system and take no time that is known."""
    for name in KEPT_OPEN + ["read_briefly"]:
        states = set(recording.function(name)["total"]) - {"running", "runqueue"}
        assert states == {"file"}, (name, states)


def test_cold_pages_of_a_mapped_file_are_faults(recording):
    total, watch = recording.function("fault_in")["total"], recording.truth["waits"]["fault_in"]
    away = watch["elapsed"] - watch["cpu"]
    assert away >= 0.95 * slow_files.DELAY * watch["count"]
    assert set(total) <= {"fault", "running", "runqueue"}, total
    assert abs(total["fault"] - away) <= 0.05 * away + total.get("runqueue", 0)
    assert recording.function("fault_in")["waits"] == watch["count"]


def test_the_file_system_was_asked_as_often(recording):
    """What the tests above rest on: nothing came out of a cache."""
    rounds = recording.truth["rounds"]
    assert recording.truth["asked"] == {slow_files.READ: 10 * rounds, slow_files.FSYNC: rounds}


def test_nothing_was_lost(recording):
    assert not recording.lost()
