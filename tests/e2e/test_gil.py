# SPDX-License-Identifier: BSD-2-Clause
"""The interpreter's global lock: told apart from other locks, and a wait to a user is one wait."""
import pytest


@pytest.fixture
def recording(interpreter, recordings):
    return recordings(interpreter, "gil")


def test_time_away_is_the_global_lock(recording):
    for tid, life in recording.truth["lives"].items():
        states = recording.threads[int(tid)]["states"]
        # A new thread waits for the lock before its first line, which its own clocks do not see.
        away = recording.threads[int(tid)]["seconds"] - life["cpu"]
        assert abs(states.get("gil", 0) + states.get("runqueue", 0) - away) <= \
            0.03 * life["elapsed"], (states, life)
        # A thread that wakes to look whether it may go on can find both CPUs taken.
        assert states.get("gil", 0) >= 0.5 * away, states
        assert states.get("lock", 0) <= 0.02 * life["elapsed"], states


def test_cpu_of_each_thread_is_its_own_clocks(recording):
    for tid, life in recording.truth["lives"].items():
        running = recording.threads[int(tid)]["states"]["running"]
        assert abs(running - life["cpu"]) <= 0.01 * life["cpu"] + 0.005


def test_functions_burn_and_wait_as_their_threads_do(recording):
    lives = recording.truth["lives"].values()
    whole = sum(life["elapsed"] for life in lives)
    for life in lives:
        total = recording.function(life["function"])["total"]
        assert abs(total.get("running", 0) - life["cpu"]) <= 0.03 * whole, (total, life)
        assert abs(total.get("gil", 0) + total.get("runqueue", 0) - life["elapsed"] + life["cpu"]) \
            <= 0.03 * whole, (total, life)


def test_a_chain_of_timed_waits_is_one_wait(recording):
    """Each thread waits for two others: two intervals, in two futex waits or more."""
    found = truth = 0
    for life in recording.truth["lives"].values():
        truth += life["waits"]
        found += sum(each.waits for each in recording.profile.samples if each.state == "gil"
                     and any(frame.name == life["function"] for frame in each.python))
    assert truth > 50, "the threads want the lock all the time"
    # The truth has only waits over 3 ms, and the kernel more: the thread that wakes now and then
    # makes short ones. Each part of a chain for itself would be two to four times as many.
    assert 0.75 * truth <= found <= 1.35 * truth, (found, truth)


def test_the_verdict_names_the_global_lock(recording):
    assert any("GIL" in line for line in recording.report["verdict"])
