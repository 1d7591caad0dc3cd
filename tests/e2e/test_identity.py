# SPDX-License-Identifier: BSD-2-Clause
"""Code objects whose addresses are used again and again never get each other's names."""
import collections
import re

import pytest


@pytest.fixture
def recording(interpreter, recordings):
    return recordings(interpreter, "identity")


def number(frame):
    """Which of the made functions a frame is: (what, number), or None."""
    match = re.fullmatch(r"(work|call)_(\d+)", frame.name)
    return match and (match.group(1), int(match.group(2)))


def test_the_workload_makes_thousands(recording):
    assert recording.truth["made_per_second"] > 2000


def test_every_frame_has_its_own_file_lines_and_caller(recording):
    wrong, right = collections.Counter(), 0.0
    for sample in recording.profile.samples:
        for caller, frame in zip([None] + sample.python, sample.python):
            made = number(frame)
            if not made:
                if frame.file.startswith("<made") and frame.name != "<module>":
                    wrong[("name", tuple(frame))] += 1
                continue
            what, i = made
            first = i * 10 + (1 if what == "work" else 6)
            lines = range(first, first + (5 if what == "work" else 2))
            right += sample.seconds
            if frame.file != "<made %d>" % i or frame.first != first or frame.line not in lines:
                wrong[("file or line", tuple(frame))] += 1
            expected = "once" if what == "call" else "call_%d" % i
            if caller is None or caller.name != expected:
                wrong[("caller", tuple(frame), caller and tuple(caller))] += 1
    assert right > 1.5, "each of two frames in most of 2 s"
    assert not wrong, wrong.most_common(5)


def test_shares_by_group(recording):
    """work_I burns in proportion to I % 5 + 1."""
    groups, truth = collections.Counter(), collections.Counter()
    for sample in recording.running():
        made = [number(frame) for frame in sample.python if number(frame)]
        if made:
            groups[made[-1][1] % 5] += sample.seconds
    for i, seconds in enumerate(recording.truth["seconds"]):
        truth[i % 5] += seconds
    for group in truth:
        share, expected = groups[group] / sum(groups.values()), truth[group] / sum(truth.values())
        assert abs(share - expected) <= 0.03, (group, share, expected)
