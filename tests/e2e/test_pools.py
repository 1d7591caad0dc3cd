# SPDX-License-Identifier: BSD-2-Clause
"""multiprocessing in all its ways, and celery: workers that are made while we record."""
import os
import shutil
import signal

import pytest

import harness
from programs import Program, facts_left, wait_recording

RATE = 499
WAYS = [("pool", "fork"), ("pool", "spawn"), ("pool", "forkserver"), ("executor", "fork"),
        ("executor", "spawn"), ("processes", "fork"), ("processes", "spawn"),
        ("processes", "forkserver")]
COMMANDS = {"fork": ["pools.py"], "spawn": ["pools.py", "multiprocessing spawn"],
            "forkserver": ["multiprocessing forkserver"]}


class Pooled:
    """A recording of workloads/pools.py with `scope`."""

    def __init__(self, interpreter, way, method, scope):
        name = "%s-%s-%s%s" % (interpreter.name, way, method, scope)
        outside, inside = interpreter.share(name)
        path = harness.output_path(name)
        command = interpreter.command("pools.py", "--way", way, "--method", method, "--directory",
                                      inside)
        with harness.Workload(command) as workload:
            arguments = ["-a"] if scope == "-a" else ["-s", "-p", workload.pid]
            with harness.Recorder(*arguments, "-r", RATE, "-o", path) as recorder:
                wait_recording(recorder)
                workload.process.send_signal(signal.SIGUSR1)
                self.truth = workload.finish()
                recorder.process.send_signal(signal.SIGINT)
                done = recorder.wait()
            self.pid = workload.pid
        assert done.returncode == 0, done.stderr
        self.workers = facts_left(outside)
        shutil.rmtree(outside)
        self.recording = harness.Recording(path, done=done)
        self.programs = {pid: Program(self.recording, pid) for pid in self.workers}

    def check(self, method):
        Program(self.recording, self.pid).check_cpu(self.truth["cpu"], self.truth["cpu"] + 0.05)
        for pid, facts in self.workers.items():
            program = self.programs[pid]
            assert program.commands == COMMANDS[method]
            # The way out of a process takes some time, too.
            program.check_cpu(facts["cpu"], facts["cpu"] + 0.005)
            program.check_burned("burn", facts["burned"])
            program.check_names()
        whole = sum(facts["burned"] for facts in self.workers.values())
        found = sum(each.sampled("burn", "running") for each in self.programs.values())
        assert found == pytest.approx(whole, rel=0.08)


@pytest.mark.parametrize("way, method", WAYS)
def test_workers(core_interpreter, way, method):
    if core_interpreter.root and method != "fork" and not os.path.isdir(
            core_interpreter.outside("/dev/shm")):
        pytest.skip("no /dev/shm in %s" % core_interpreter.root)
    pooled = Pooled(core_interpreter, way, method, "-s")
    assert len(pooled.workers) >= (8 if way == "processes" else 2)
    pooled.check(method)


def test_workers_on_the_host(python):
    pooled = Pooled(python, "pool", "forkserver", "-a")
    assert len(pooled.workers) >= 2
    pooled.check("forkserver")
