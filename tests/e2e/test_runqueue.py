# SPDX-License-Identifier: BSD-2-Clause
"""Time wanting a CPU, by the kernel's own clocks, and what ran instead."""
import collections
import os
import sys

import pytest

import harness
import native

RIVAL = "rival-burner"
# Burns on a CPU until SIGTERM, and notes how much of it it has had by when.
BURN = """
import json, os, signal, sys, time
with open("/proc/self/comm", "w") as file:
    file.write(%r)
os.sched_setaffinity(0, {int(sys.argv[1])})
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(json.dumps(had))))
print("ready", flush=True)
had = []
while True:
    had.append((time.monotonic(), time.process_time()))
    sum(range(20000))
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
            command = core_interpreter.command("crowd.py", "--cpu", str(cpu))
            recorded[name] = native.record(core_interpreter, command, "crowd", 2.5, rate=499)
            recorded[name].rival = had_between(rival.stop(), recorded[name].truth)
    return recorded[name]


def had_between(had, truth):
    """Seconds of CPU that the rival has had while the workload burnt."""
    begin, end = truth["began"], truth["began"] + truth["watch"]["elapsed"]
    inside = [cpu for at, cpu in had if begin <= at <= end]
    return inside[-1] - inside[0]


def burning(recording):
    return [each for each in recording.profile.samples
            if any(frame.name == "burn" for frame in each.python)]


def test_seconds_wanting_a_cpu(recording):
    watch = recording.truth["watch"]
    away = watch["elapsed"] - watch["cpu"]
    states = recording.threads[recording.truth["tid"]]["states"]
    found = sum(each.seconds for each in burning(recording) if each.state == "runqueue")
    assert away > 0.5, "there is a rival for the CPU"
    assert states["runqueue"] == pytest.approx(away, rel=0.03, abs=0.02)
    assert found == pytest.approx(away, rel=0.05, abs=0.02)
    if recording.truth["queued"]:  # none without /proc
        # What a hypervisor takes is no time in the kernel's run queue.
        assert recording.truth["queued"] == pytest.approx(found, rel=0.05, abs=0.02)


def test_what_ran_instead(recording):
    found = collections.Counter()
    for sample in burning(recording):
        if sample.state == "runqueue":
            found[sample.labels.get("target", "")] += sample.seconds
    # Each wait is charged to one of those that had the CPU in it. Beside others than the rival the
    # waits are some 80 of 20 ms: of such draws the standard deviation is 0.08 s.
    assert found[RIVAL] == pytest.approx(recording.rival, rel=0.15, abs=0.16), found
    rows = [each for each in recording.report["runqueue"]
            if each["function"] == "burn" and each["comm"] == RIVAL]
    assert sum(each["seconds"] for each in rows) == pytest.approx(found[RIVAL], abs=0.0001)
    text = harness.run("report", recording.path).stdout
    assert "while %s ran" % RIVAL in " ".join(text.split()), text
