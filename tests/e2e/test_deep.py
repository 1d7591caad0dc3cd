# SPDX-License-Identifier: BSD-2-Clause
"""Stacks of a thousand frames are whole; deeper ones are marked and counted, not wrong."""
import pytest

KEPT = 1000  # frames that every stack keeps at the least


@pytest.fixture
def recording(interpreter, recordings):
    return recordings(interpreter, "deep")


def samples(recording, leaf):
    return [each for each in recording.profile.samples
            if each.state == "running" and each.python and each.python[-1].name == leaf]


def test_a_thousand_frames_are_whole(recording):
    found = samples(recording, "burn_whole")
    assert len(found) > 0
    for sample in found:
        names = [frame.name for frame in sample.python]
        assert names.count("descend") == recording.truth["depths"]["whole"]
        first = names.index("descend")
        assert names[first - 1] == "loop" and names[-1] == "burn_whole"
        assert set(names[first:-1]) == {"descend"}


def test_lines_differ_between_the_frames(recording):
    """The innermost descend() is at its loop, all others at the recursive call."""
    for sample in samples(recording, "burn_whole"):
        lines = [frame.line - frame.first for frame in sample.python if frame.name == "descend"]
        assert lines == [5] * (len(lines) - 1) + [3]


def test_deeper_stacks_are_cut_at_their_outer_end(recording):
    found = samples(recording, "burn_cut")
    assert len(found) > 0
    for sample in found:
        names = [frame.name for frame in sample.python]
        assert names.count("descend") >= KEPT
        assert names[-2:] == ["descend", "burn_cut"]
    assert recording.report["lost"]["stack_cut"] > 100  # half of 2 s at 499 Hz, less the start


def test_a_recursive_function_counts_once_a_stack(recording):
    burnt = recording.report["totals"]["states"]["running"]
    assert recording.function("descend")["total"]["running"] <= burnt * 1.01


def test_shares(recording):
    truth = recording.truth["seconds"]
    seconds = {key: recording.function("burn_" + key)["self"].get("running", 0) for key in truth}
    share = seconds["whole"] / sum(seconds.values())
    assert abs(share - truth["whole"] / sum(truth.values())) <= 0.05  # 900 samples: three sigma
