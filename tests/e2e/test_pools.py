# SPDX-License-Identifier: BSD-2-Clause
"""multiprocessing in all its ways, and celery: workers that are made while we record."""
import glob
import os
import shutil
import signal
import subprocess

import pytest

import environments
import harness
from interpreters import WORKLOADS
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


TASKS = 16


@pytest.fixture(scope="module")
def celery_directory(machine):
    return environments.make("celery", "/usr/bin/python3", ["celery"])


def send_tasks(directory, environ, numbers):
    code = "import tasks\nfor number in range(%d, %d): tasks.work.delay(number)" % numbers
    subprocess.run([directory + "/bin/python", "-c", code], cwd=WORKLOADS, env=environ, check=True)


def children(pid):
    """Of all of the process' threads."""
    found = set()
    for path in glob.glob("/proc/%d/task/*/children" % pid):
        with open(path) as file:
            found |= {int(child) for child in file.read().split()}
    return found


@pytest.mark.parametrize("scope", ["-s", "-a"])
def test_celery(celery_directory, scope):
    """Its children are there before the recording, and one more is asked for in it."""
    base = os.path.join(harness.OUTPUT, "celery" + scope)
    shutil.rmtree(base, ignore_errors=True)
    environ = dict(os.environ, BROKER=base + "/broker", FACTS=base + "/facts",
                   PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=WORKLOADS)
    for part in ("BROKER", "FACTS"):
        os.makedirs(environ[part])
    path = harness.output_path("celery" + scope)
    command = [celery_directory + "/bin/celery", "-A", "tasks", "worker", "--pool", "prefork",
               "--concurrency", "2", "--max-tasks-per-child", "3", "--loglevel", "ERROR",
               "--without-gossip", "--without-mingle", "--without-heartbeat"]
    worker = subprocess.Popen(command, cwd=WORKLOADS, env=environ, stdout=subprocess.DEVNULL,
                              start_new_session=True)
    try:
        send_tasks(celery_directory, environ, (0, 2))
        harness.wait_for(lambda: facts_left(environ["FACTS"]), "celery's first task", 60)
        arguments = ["-a"] if scope == "-a" else ["-s", "-p", worker.pid]
        with harness.Recorder(*arguments, "-r", RATE, "-o", path) as recorder:
            wait_recording(recorder)
            before = children(worker.pid)
            send_tasks(celery_directory, environ, (2, TASKS))
            harness.wait_for(lambda: sum(round(each["burned"] / 0.05) for each in
                                         facts_left(environ["FACTS"]).values()) == TASKS,
                             "all tasks", 60)
            recorder.process.send_signal(signal.SIGINT)
            done = recorder.wait()
    finally:
        os.killpg(worker.pid, signal.SIGKILL)  # its way to end in order can take a minute
        worker.wait()
    assert done.returncode == 0, done.stderr
    recording, after = harness.Recording(path, done=done), facts_left(environ["FACTS"])
    assert len(set(after) - before) >= 2, "children came in the recording"
    for pid in (worker.pid, *after):
        assert Program(recording, pid).commands == ["celery worker"]
    for pid in set(after) - before:
        program = Program(recording, pid)
        # What it does after its last task, and at its end, is not in its facts.
        program.check_cpu(after[pid]["cpu"], after[pid]["cpu"] + 0.1)
        program.check_burned("burn", after[pid]["burned"])
        program.check_names()
