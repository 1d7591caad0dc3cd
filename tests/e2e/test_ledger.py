# SPDX-License-Identifier: BSD-2-Clause
"""The ledger closes: states add up to each thread's life, threads to totals, samples to ledgers."""
import pytest

ATTACHED = ["stacks", "threads"]
LAUNCHED = ["waits", "gil", "identity", "deep"]


@pytest.fixture(params=ATTACHED[:1] + LAUNCHED)
def recording(request, interpreter, recordings):
    return recordings(interpreter, request.param)


def test_states_add_up_to_the_life_of_each_thread(recording):
    for thread in recording.ledgers:
        total = sum(thread["states"].values())
        assert total == pytest.approx(thread["seconds"], rel=0.01, abs=0.0005), thread
        assert all(value >= 0 for value in thread["states"].values()), thread


def test_totals_are_the_sum_of_the_threads(recording):
    for state, total in recording.report["totals"]["states"].items():
        threads = sum(each["states"].get(state, 0) for each in recording.ledgers)
        assert total == pytest.approx(threads, rel=0.001, abs=0.001), state


def test_samples_add_up_to_the_totals(recording):
    """Functions' sums agree with the exact totals: what is sampled is only how they spread."""
    totals = recording.report["totals"]["states"]
    whole = sum(totals.values())
    for state, total in totals.items():
        sampled = sum(each.seconds for each in recording.profile.samples if each.state == state)
        assert abs(sampled - total) <= 0.01 * whole + 0.001, (state, sampled, total)


def test_running_is_split_by_its_leaf(recording):
    totals = recording.report["totals"]
    assert sum(totals["running"].values()) == pytest.approx(
        totals["states"]["running"], rel=0.01, abs=0.002)


def test_only_what_is_announced_is_lost(recording):
    explained = {}
    if "depths" in recording.truth:
        assert recording.lost().get("stack_cut"), "cut stacks are counted"
        explained = {"stack_cut": 1 << 32}
    if "waits" in recording.truth:
        # It forks: a page of the thread's frames that is being copied cannot be read for a moment.
        explained = {"frame_unreadable": 20, "lines_cut": 10}
    assert not recording.unexplained_losses(**explained)
