# SPDX-License-Identifier: BSD-2-Clause
"""CPU time of threads that are woken thousands of times: as much as their own clocks count."""
import pytest

import harness


@pytest.fixture(scope="module")
def recording(core_interpreter):
    return harness.follow(core_interpreter.command("wakeups.py"),
                          "%s-wakeups" % core_interpreter.name, 499)


@pytest.mark.parametrize("name", ["short_naps", "longer_naps", "asks", "answers"])
def test_cpu_time_is_that_of_the_threads_clock(recording, name):
    own = recording.truth["threads"][name]
    running = recording.threads[own["tid"]]["states"]["running"]
    # A thread also needs some to begin and to end; at its end the kernel's own count is up to a tick
    # old, and what a hypervisor took since then is not known.
    assert -0.02 * own["cpu"] - 0.0002 <= running - own["cpu"] <= 0.02 * own["cpu"] + 0.010, \
        (running, own, recording.threads[own["tid"]]["states"])
