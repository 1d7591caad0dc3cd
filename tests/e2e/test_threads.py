# SPDX-License-Identifier: BSD-2-Clause
"""Threads that were blocked all along, and threads that lived only inside the recording."""
import pytest


@pytest.fixture
def recording(core_interpreter, recordings):
    return recordings(core_interpreter, "threads")


def test_a_thread_blocked_all_along_is_charged_for_all_of_it(recording):
    duration = recording.report["duration_s"]
    for name, state in recording.truth["blocked"].items():
        thread = recording.threads[recording.truth["blocked_tids"][name]]
        assert thread["seconds"] == pytest.approx(duration, rel=0.01), name
        assert thread["states"].get(state, 0) == pytest.approx(duration, rel=0.01), (name, thread)
        assert recording.function(name)["total"].get(state, 0) == \
            pytest.approx(duration, rel=0.01), name


def inside(recording):
    """Lives of the threads that surely began and ended within the recording."""
    started, ended = recording.truth["recorder"]
    return [life for life in recording.truth["lives"]
            if life["started"] > started + 1.0 and life["ended"] < started + 3.0]


def test_short_lives_are_whole(recording):
    lives = inside(recording)
    assert len(lives) > 10
    for life in lives:
        thread = recording.threads[life["tid"]]
        lived = life["ended"] - life["started"]
        assert -0.001 <= thread["seconds"] - lived <= 0.01 * lived + 0.01, (life, thread)
        assert thread["states"]["running"] == pytest.approx(life["cpu"], abs=0.006)
        assert thread["states"]["sleep"] == pytest.approx(0.050, abs=0.01)
        assert sum(thread["states"].values()) == pytest.approx(thread["seconds"], rel=0.01)


def test_naps_are_counted_exactly(recording):
    """Each nap is ten periods long, so none is missed."""
    naps = [each for each in recording.profile.samples
            if each.state == "sleep" and each.python and each.python[-1].name == "short_nap"]
    threads = {each.labels["tid"] for each in naps}
    assert {life["tid"] for life in inside(recording)} <= threads
    waits = sum(each.waits for each in naps)
    assert waits == len(threads), "each thread naps once"
