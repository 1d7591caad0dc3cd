# SPDX-License-Identifier: BSD-2-Clause
"""Waits: each in its state, counted exactly, as long as the waiting function's stopwatch says."""
import collections

import pytest

import harness

PERIOD = 1 / 199
# The kernel's clock of a thread runs through the switch itself, the ledger's stamps are inside it.
SWITCH, TICK = 8e-6, 0.010


@pytest.fixture
def recording(interpreter, recordings):
    return recordings(interpreter, "waits")


def by_function(recording, name):
    """{state: [seconds, waits]} of the samples with the function `name` on their stack."""
    states = collections.defaultdict(lambda: [0.0, 0])
    for sample in recording.profile.samples:
        if any(frame.name == name for frame in sample.python):
            states[sample.state][0] += sample.seconds
            states[sample.state][1] += sample.waits
    return states


def queued_instead(recording, name, found):
    """Where there is no /proc (by chroot) the workload cannot tell a wait from the run queue: then
    as many calls as are missing may have been late for lack of a CPU, if the ledger says so."""
    if "/sid/" not in recording.report["processes"][-1]["python"]:
        return False
    missing = recording.truth["waits"][name]["waited"] - found
    queued = by_function(recording, name)["runqueue"][0]
    return 0 < missing and queued >= 0.8 * missing * 0.005


def exact(truth):
    return [name for name, (_, is_exact) in truth["states"].items() if is_exact]


def test_waits_of_the_period_or_more_are_counted_exactly(recording):
    truth, wrong = recording.truth, {}
    for name in exact(truth):
        state, calls = truth["states"][name][0], truth["waits"][name]["count"]
        count = truth["waits"][name]["waited"]
        assert count >= 0.9 * calls, "the partner was there too early"
        found = by_function(recording, name)
        # A call that waited for less than a period may be counted too, by its probability. And some
        # kernels do not report one switch in thousands (ftrace misses them too): two waits of which
        # the end of one and the beginning of the other is missing are one, and the short part of
        # a wait that is cut in two stands for several.
        if not 0.96 * count <= found[state][1] <= 1.1 * calls and \
                not queued_instead(recording, name, found[state][1]):
            wrong[name] = (count, {key: value for key, value in found.items()})
    assert not wrong


def test_waits_take_as_long_as_the_stopwatch_says(recording):
    truth = recording.truth
    for name in exact(truth):
        state, watch = truth["states"][name][0], truth["waits"][name]
        away = watch["elapsed"] - watch["cpu"]
        found = by_function(recording, name)
        waited = sum(seconds for key, (seconds, _) in found.items() if key != "running")
        # Of the time away, all but the run queue and the interpreter's lock is in the one state.
        assert found[state][0] >= 0.85 * away, (name, found, watch)
        # Which function had the thread's short times is sampled.
        assert waited == pytest.approx(away, rel=0.03, abs=4 * PERIOD), (name, found, watch)


def test_no_wait_is_in_another_state(recording):
    for name in exact(recording.truth):
        state = recording.truth["states"][name][0]
        others = by_function(recording, name)
        for each in (state, "running", "runqueue", "gil"):
            others.pop(each, None)
        # It shares its memory with threads that map files: now and then it waits for the kernel's
        # lock of that, in a page fault.
        seconds, _ = others.pop("other", (0, 0))
        assert not others and seconds <= 0.05 * recording.truth["waits"][name]["elapsed"], \
            (name, others, seconds)


@pytest.mark.parametrize("name, thread", [("file_sync", "file_loop"), ("fault_in", "fault_loop")])
def test_short_waits_on_the_disk(recording, name, thread):
    """Far below the period: totals of the thread are exact all the same, the spread is sampled."""
    watch, state = recording.truth["waits"][name], recording.truth["states"][name][0]
    tid = next(int(tid) for tid, life in recording.truth["lives"].items()
               if life["function"] == thread)
    states = recording.threads[tid]["states"]
    away = watch["elapsed"] - watch["cpu"]
    life = recording.truth["lives"][str(tid)]
    found = states.get(state, 0)
    around = sum(states.values()) - states.get("running", 0)
    if away < 0.050:
        pytest.skip("the disk answered too fast to make the thread wait")
    assert found >= 0.5 * (away - states.get("runqueue", 0)), (states, watch)
    assert abs(around - (life["elapsed"] - life["cpu"])) <= \
        0.03 * life["elapsed"] + SWITCH * life["blocks"], (states, life)
    spread = by_function(recording, name)[state][0]
    deviation = (found * PERIOD) ** 0.5
    assert abs(spread - found) <= 4 * deviation + 0.03 * life["elapsed"], (spread, found)


def test_each_thread_by_its_own_clocks(recording):
    threads = recording.threads
    for tid, life in recording.truth["lives"].items():
        thread = threads[int(tid)]
        # What comes before the thread's first line of Python and after its last is not in `life`.
        assert -0.001 <= thread["seconds"] - life["elapsed"] <= 0.01 * life["elapsed"] + 0.03, \
            (life, thread)
        # At the thread's end the kernel's own count is up to a tick old: what a hypervisor took
        # since then is not known.
        assert -0.01 * life["cpu"] - 0.001 <= thread["states"].get("running", 0) - life["cpu"] <= \
            0.01 * life["cpu"] + 0.005 + TICK, (life, thread)


def test_a_forked_child_is_not_part_of_it(recording):
    assert [each["pid"] for each in recording.report["processes"] if each["python"]] == \
        [recording.truth["pid"]]
    assert {each["pid"] for each in recording.report["processes"]} == {recording.truth["pid"]}


def test_the_socket_is_named_where_it_waited(recording):
    done = harness.run("report", "-f", "collapsed", recording.path)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if ";socket_receive (" in line]
    assert any("[wait: socket %s]" % recording.truth["server"] in line for line in lines), lines


def test_verdict_speaks_of_the_process(recording):
    text = " ".join(recording.report["verdict"])
    assert str(recording.truth["pid"]) in text or "%" in text
