# SPDX-License-Identifier: BSD-2-Clause
"""Who ended a wait for a lock or a pipe: the function that did, for as long as it was waited for."""
import collections

import pytest

import native

KINDS = {"lock_wait": "lock", "condition_wait": "lock", "queue_wait": "lock",
         "simple_wait": "lock", "pipe_wait": "pipe", "process_wait": "pipe"}


@pytest.fixture(scope="module")
def recorded():
    return {}


@pytest.fixture
def recording(core_interpreter, recorded):
    if core_interpreter.name not in recorded:
        recorded[core_interpreter.name] = native.record(
            core_interpreter, core_interpreter.command("wakers.py"), "wakers", 2.5, rate=199)
    return recorded[core_interpreter.name]


def wakers(recording, wait):
    """{waker: seconds} of the samples with the function `wait` on their stack."""
    found = collections.defaultdict(float)
    for sample in recording.profile.samples:
        if sample.state == KINDS[wait] and any(frame.name == wait for frame in sample.python):
            found[sample.labels.get("waker", "").split(" (")[0]] += sample.seconds
    return dict(found)


@pytest.mark.parametrize("wait", KINDS)
def test_the_waker_is_the_true_one(recording, wait):
    truth = {each["waker"]: each["elapsed"] - each["cpu"]
             for each in recording.truth["waits"] if each["wait"] == wait}
    found = wakers(recording, wait)
    if wait == "process_wait":
        found["process"] = sum(found.pop(name) for name in list(found)
                               if name.startswith("python") and name in processes(recording))
    # Of a wait whose end or beginning the kernel does not report the waker is not known.
    assert found.pop("", 0) <= 0.04 * sum(truth.values()), found
    assert set(found) <= set(truth), found
    # `truth` has the time, too, in which the thread had been woken and wanted a CPU or the GIL.
    # One of the few tens of waits that are shorter than a period is captured by its chance.
    for waker, seconds in truth.items():
        assert 0.85 * seconds - 0.01 <= found[waker] <= 1.02 * seconds + 0.01, (truth, found)


def processes(recording):
    """Names of wakers that are the workload's child."""
    end = " (process %d)" % recording.truth["child"]
    return {label[:-len(end)] for label in
            (sample.labels.get("waker", "") for sample in recording.profile.samples)
            if label.endswith(end)}


def test_the_partners_are_woken_by_the_waiters(recording):
    """Each partner waits for its turn, which the waiting thread gives it: by a function above."""
    found = collections.Counter()
    for sample in recording.profile.samples:
        if sample.state == "lock" and sample.python and sample.python[-1].name.endswith("take"):
            found[sample.labels.get("waker", "").split(" (")[0].split(".")[-1]] += sample.seconds
    assert found["give"] >= 0.98 * sum(found.values()), found


def test_the_report_says_the_same(recording):
    rows = {(each["function"], each["waker"].split(" (")[0]): each["seconds"]
            for each in recording.report["wakers"]}
    for wait in ("lock_wait", "simple_wait", "pipe_wait"):
        found = wakers(recording, wait)
        found.pop("", None)  # not known, and no row
        assert found
        for waker, seconds in found.items():
            assert rows[wait, waker] == pytest.approx(seconds, abs=0.0001)
