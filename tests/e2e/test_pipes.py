# SPDX-License-Identifier: BSD-2-Clause
"""Pipes, named pipes, terminals, eventfds and child processes: state, target, count and seconds."""
import os
import signal

import pytest

import harness

PERIOD = 1 / 199


@pytest.fixture(scope="module")
def recording(core_interpreter):
    path = harness.output_path("%s-pipes" % core_interpreter.name)
    outside, inside = core_interpreter.share("pipes")
    terminal = os.openpty()
    command = core_interpreter.command("pipes.py", "--directory", inside, "--terminal",
                                  *map(str, terminal))
    with harness.Workload(command, pass_fds=terminal) as workload:
        with harness.Recorder("-p", workload.pid, "-r", 199, "-o", path, "-q") as recorder:
            recorder.wait_started()
            os.kill(workload.pid, signal.SIGUSR1)
            done = recorder.wait()
            assert done.returncode == 0, done.stderr
        truth = workload.stop()
    truth["targets"] = {
        "read_pipe": "pipe", "write_full_pipe": "pipe", "read_eventfd": "eventfd",
        "read_fifo": truth["targets"]["read_fifo"].replace(inside, outside, 1),
        "read_terminal": os.ttyname(terminal[1])}
    for descriptor in terminal:
        os.close(descriptor)
    return harness.Recording(path, truth, done)


PIPES = ["read_pipe", "write_full_pipe", "read_eventfd", "read_fifo", "read_terminal"]


def away(recording, name):
    watch = recording.truth["waits"][name]
    return watch["elapsed"] - watch["cpu"]


def queued(recording, name):
    """Whoever is woken, on either side, may find all CPUs taken."""
    return recording.function(name)["total"].get("runqueue", 0)


@pytest.mark.parametrize("name", PIPES)
def test_pipes_by_their_names(recording, name):
    """Each call waits once, for six periods or more: counted exactly."""
    rows = [each for each in recording.report["targets"] if each["function"] == name]
    assert [(each["state"], each["target"]) for each in rows] == \
        [("pipe", recording.truth["targets"][name])]
    assert rows[0]["waits"] == recording.truth["rounds"]
    assert rows[0]["seconds"] >= 0.95 * recording.truth["rounds"] * recording.truth["delay"]
    assert abs(rows[0]["seconds"] - away(recording, name)) <= \
        0.05 * away(recording, name) + queued(recording, name)


@pytest.mark.parametrize("name, state", [
    ("run_process", "child"), ("communicate_with_process", "poll"),
    ("read_output_of_process", "pipe")])
def test_waits_for_another_process(recording, name, state):
    """Ten times longer than what starting a process takes, which waits for it in other ways."""
    total = recording.function(name)["total"]
    calls = recording.truth["waits"][name]["count"]
    asleep = 10 * recording.truth["delay"] * calls
    assert away(recording, name) >= asleep
    # It may be asleep already while this one still wants a CPU.
    assert asleep - queued(recording, name) <= total[state] <= away(recording, name) + calls * PERIOD, total
    whole = sum(seconds for each, seconds in total.items() if each != "running")
    assert abs(whole - away(recording, name)) <= 0.05 * away(recording, name), total


def test_what_a_process_says_is_read_from_a_pipe(recording):
    rows = [each for each in recording.report["targets"]
            if each["function"] == "read_output_of_process"]
    assert {(each["state"], each["target"]) for each in rows} == {("pipe", "pipe")}
    assert max(each["longest_s"] for each in rows) >= 10 * recording.truth["delay"]


def test_nothing_was_lost(recording):
    assert not recording.lost()
