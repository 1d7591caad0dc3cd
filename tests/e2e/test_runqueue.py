# SPDX-License-Identifier: BSD-2-Clause
"""Time wanting a CPU, by the kernel's own clocks, and what ran instead."""
import collections
import os
import sys

import pytest

import harness

RIVAL = "rival-burner"
BURN = """
import os, sys
with open("/proc/self/comm", "w") as file:
    file.write(%r)
os.sched_setaffinity(0, {int(sys.argv[1])})
print("ready", flush=True)
while True:
    sum(range(10000))
""" % RIVAL


@pytest.fixture(scope="module")
def recorded():
    return {}


@pytest.fixture
def recording(core_interpreter, recorded):
    name = core_interpreter.name
    if name not in recorded:
        cpu = max(os.sched_getaffinity(0))
        with harness.Workload([sys.executable, "-c", BURN, str(cpu)]) as rival:
            before = burnt(rival.pid)
            recorded[name] = harness.launch(core_interpreter, "crowd.py", 499, "--cpu", str(cpu),
                                            "--seconds", "2")
            recorded[name].rival = burnt(rival.pid) - before
    return recorded[name]


def burnt(pid):
    """Seconds of CPU that a process has used."""
    with open("/proc/%d/schedstat" % pid) as file:
        return int(file.read().split()[0]) / 1e9


def burning(recording):
    return [each for each in recording.profile.samples
            if any(frame.name == "burn" for frame in each.python)]


def test_seconds_wanting_a_cpu(recording):
    watch = recording.truth["watch"]
    away = watch["elapsed"] - watch["cpu"]
    states = recording.threads[recording.truth["tid"]]["states"]
    found = sum(each.seconds for each in burning(recording) if each.state == "runqueue")
    assert away > 0.5, "there is a rival for the CPU"
    # The thread's life before and after is in the first, but not in `watch`.
    assert 0.97 * away <= states["runqueue"] <= away + 0.3
    assert found == pytest.approx(away, rel=0.05, abs=0.02)
    if recording.truth["queued"]:  # none without /proc
        # What a hypervisor takes is no time in the kernel's run queue.
        assert recording.truth["queued"] == pytest.approx(found, rel=0.05, abs=0.02)


def test_what_ran_instead(recording):
    found = collections.Counter()
    for sample in burning(recording):
        if sample.state == "runqueue":
            found[sample.labels.get("target", "")] += sample.seconds
    # What is named is what ran last: on a busy machine others come in after the rival.
    assert found[RIVAL] >= 0.6 * sum(found.values()), found
    assert found[RIVAL] <= recording.rival, found
    rows = [each for each in recording.report["runqueue"]
            if each["function"] == "burn" and each["comm"] == RIVAL]
    assert sum(each["seconds"] for each in rows) == pytest.approx(found[RIVAL], abs=0.0001)
    text = harness.run("report", recording.path).stdout
    assert "while %s ran" % RIVAL in " ".join(text.split()), text
