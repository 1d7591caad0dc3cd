# SPDX-License-Identifier: BSD-2-Clause
"""Who ended a wait for a lock or a pipe: the function that did, for as long as it was waited for."""
import collections

import pytest

import harness

KINDS = {"lock_wait": "lock", "condition_wait": "lock", "queue_wait": "lock",
         "simple_wait": "lock", "pipe_wait": "pipe", "process_wait": "pipe"}


@pytest.fixture(scope="module")
def recorded():
    return {}


@pytest.fixture
def recording(interpreter, recorded):
    if interpreter.name not in recorded:
        recorded[interpreter.name] = harness.launch(interpreter, "wakers.py", 199)
    return recorded[interpreter.name]


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
    print("WAKERS", wait, {name: round(seconds, 3) for name, seconds in truth.items()},
          {name: round(seconds, 3) for name, seconds in found.items()})
