# SPDX-License-Identifier: BSD-2-Clause
"""Whole Python stacks, names, lines and shares, against what the interpreter itself says."""
import collections

import pytest

POINTS = 0.03


@pytest.fixture
def recording(interpreter, recordings):
    return recordings(interpreter, "stacks")


class Known:
    """The stacks that the workload can produce, from those it noted."""

    def __init__(self, truth):
        self.leaf = tuple(truth["leaf"])
        self.prefixes = {}   # whole caller frames -> functions that may be innermost above them
        self.callers = set()
        self.file = truth["leaf"][1]
        for case in truth["cases"]:
            for stack in case["stacks"]:
                frames = [tuple(frame) for frame in stack]
                if not case["own"]:
                    frames.append(self.leaf + (None,))
                for depth, frame in enumerate(frames):
                    self.prefixes.setdefault(tuple(frames[:depth]), set()).add(frame[:3])

    def problem(self, stack):
        """None if the sample's Python stack can be; else what is wrong with it."""
        frames = [tuple(frame[:4]) for frame in stack]
        while len(frames) > 1 and self.helper(frames[-1][:3]):
            frames.pop()  # called from any line of the one before
        innermost = frames[-1][:3]
        above = self.prefixes.get(tuple(frames[:-1]))
        if above is None:
            return "no such callers"
        if innermost not in above:
            return "innermost function not called from there"
        return None

    def helper(self, function):
        """Called where no stack was noted: they never call what was, or, as `resumed` until it
        is sent to for the second time, not from there."""
        name, file, _ = function
        own = {"mark", "pause", "resumed", "Outer.__init__", "__init__"}
        return (file == self.file and name in own
                or file.endswith("truth.py") and name == "cpu"
                or file.endswith("threading.py") and name in {"Event.is_set", "is_set"})


def test_every_stack_is_one_that_can_be(recording):
    known = Known(recording.truth)
    wrong = collections.Counter()
    for sample in recording.running():
        problem = known.problem(sample.python)
        if problem:
            wrong[(problem, tuple(tuple(frame[:4]) for frame in sample.python))] += 1
    assert not wrong, "\n".join("%d × %s: %s" % (count, *what)
                                for what, count in wrong.most_common(5))


def test_every_noted_stack_is_seen(recording):
    seen = collections.Counter(tuple(tuple(frame[:4]) for frame in sample.python[:-1])
                               for sample in recording.running())
    for case in recording.truth["cases"]:
        if not case["own"]:
            stacks = {tuple(map(tuple, stack)) for stack in case["stacks"]}
            found, samples = len(stacks & set(seen)), sum(seen[stack] for stack in stacks)
            # Each case burns 2 % of 3000 samples: 60, if the machine leaves the workload a CPU.
            # spaced_lines has 17 stacks, of which as many samples as there are stacks miss a third.
            assert found >= 0.75 * min(len(stacks), 0.6 * samples) and found, \
                (case["name"], found, len(stacks), samples)


def test_shares_are_those_of_the_threads_clock(recording):
    running, total = recording.running(), sum(case["seconds"] for case in recording.truth["cases"])
    whole = sum(sample.seconds for sample in running)
    for case in recording.truth["cases"]:
        at = len(case["stacks"][0]) - 1
        at = next(i for i, frame in enumerate(case["stacks"][0]) if frame[0] == "drive") + 1
        name = case["stacks"][0][at][:3]
        share = sum(sample.seconds for sample in running
                    if len(sample.python) > at and list(sample.python[at][:3]) == name) / whole
        truth = case["seconds"] / total
        assert abs(share - truth) <= min(POINTS, truth * 0.6), (case["name"], share, truth)


def test_self_shares_in_the_report(recording):
    cases = {case["name"]: case["seconds"] for case in recording.truth["cases"]}
    total = sum(cases.values())
    burnt = recording.report["totals"]["states"]["running"]
    for name in ("heavy", "medium", "light"):
        share = recording.function(name)["self"].get("running", 0) / burnt
        assert abs(share - cases[name] / total) <= POINTS, name


def test_lines_are_exact(recording):
    """A function whose lines burn in C, hundreds of lines apart, each timed by the workload."""
    truth = recording.truth["sum_lines"]
    function = recording.function("sum_lines")
    assert function["file"] == "/srv/sums.py" and function["line"] == 10
    lines = {line: states.get("running", 0) for line, states in function["lines"].items()}
    whole = sum(lines.values())
    assert set(lines) <= set(truth) | {"10"}, "lines that the function does not have"
    for line, seconds in truth.items():
        share = seconds / sum(truth.values())
        # 200 to 250 samples: three standard deviations are 10 points.
        assert abs(lines.get(line, 0) / whole - share) <= 0.10, (line, lines, truth)


def test_names_files_and_first_lines_in_the_report(recording):
    known = {(each["function"], each["file"], each["line"])
             for each in recording.report["functions"]}
    for case in recording.truth["cases"]:
        for stack in case["stacks"]:
            for name, file, first, _ in stack:
                assert (name, file, first) in known, (name, file, first)


def test_kernel_frames_are_not_python(recording):
    for function in recording.report["functions"]:
        assert function["kind"] in ("python", "native", "kernel")
        if function["function"] in ("heavy", "medium", "light"):
            assert function["kind"] == "python" and function["class"] == "cpu"


def test_the_seconds_are_those_of_the_recording(recording):
    thread = recording.threads[recording.truth["tid"]]
    assert recording.report["duration_s"] == pytest.approx(3, abs=0.1)
    assert thread["seconds"] == pytest.approx(recording.report["duration_s"], rel=0.01)
    assert "%d.%d.%d" % tuple(recording.truth["version"]) in \
        recording.report["processes"][0]["python"]
