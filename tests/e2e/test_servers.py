# SPDX-License-Identifier: BSD-2-Clause
"""Servers that fork their workers: gunicorn, whose workers come and go, and uwsgi.

Each worker keeps its own clock; the kernel's clock of those that live is read at both ends.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

import environments
import harness
from interpreters import WORKLOADS
from programs import Program, cpu_clock, facts_left, wait_recording

RATE = 499
DELAY = 0.020
REQUESTS = 20  # of each client
CLIENTS = 3


@pytest.fixture(scope="module")
def backend():
    """A server in a process of its own that answers every byte after DELAY; its port."""
    code = """if True:
        import socket, sys, threading, time
        def answer(connection):
            while connection.recv(64):
                time.sleep(%r)
                connection.sendall(b"!")
        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
        """ % DELAY
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    yield int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Server:
    """A running server of workloads/prefork.py; a context manager."""

    def __init__(self, command, port, backend, name):
        self.port, self.answers = port, {}
        self.directory = os.path.join(harness.OUTPUT, name + "-facts")
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        self.process = subprocess.Popen(command, cwd=WORKLOADS, env=dict(
            os.environ, BACKEND_PORT=str(backend), FACTS=self.directory, PYTHONPATH=WORKLOADS,
            PYTHONDONTWRITEBYTECODE="1"))

    def get(self, path):
        """Asks it, and keeps the last answer of each worker."""
        url = "http://127.0.0.1:%d%s" % (self.port, path)
        with urllib.request.urlopen(url, timeout=20) as answer:
            facts = json.loads(answer.read())
        self.answers[facts["pid"]] = facts
        return facts

    def ready(self):
        try:
            return self.get("/")
        except (urllib.error.URLError, OSError):
            assert self.process.poll() is None, "the server has ended"
            return None

    def workers(self):
        path = "/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)
        with open(path) as file:
            return {int(pid) for pid in file.read().split()}

    def work(self):
        """Has CLIENTS at a time ask for /work."""
        def client():
            for _ in range(REQUESTS):
                self.get("/work")

        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def __enter__(self):
        harness.wait_for(self.ready, "the server to answer", 30)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Served:
    """A recording of a server, with the clocks of its workers at both ends."""

    def __init__(self, server, name, scope, more=None):
        arguments = {"-a": ["-a"], "-s": ["-s", "-p", server.process.pid]}[scope]
        path = harness.output_path("%s%s" % (name, scope))
        with harness.Recorder(*arguments, "-r", RATE, "-o", path) as recorder:
            wait_recording(recorder)
            self.before = {pid: cpu_clock(pid) for pid in server.workers()}
            if more:
                more()
            server.work()
            self.after = {pid: cpu_clock(pid) for pid in server.workers()}
            recorder.process.send_signal(signal.SIGINT)
            self.done = recorder.wait()
        assert self.done.returncode == 0, self.done.stderr
        self.recording = harness.Recording(path, done=self.done)
        self.master, self.answers = server.process.pid, server.answers
        self.ended = {pid: facts for pid, facts in facts_left(server.directory).items()
                      if pid not in self.after}
        self.programs = {pid: Program(self.recording, pid)
                         for pid in {*self.before, *self.after, *self.ended}}

    def check_cpu(self):
        """Of a worker that was born in the recording, from its first moment on."""
        for pid, program in self.programs.items():
            started = self.before.get(pid, 0)
            if pid in self.after:
                # It may do a little between our look at its clock and the end.
                program.check_cpu(self.after[pid] - started, self.after[pid] - started + 0.01)
            else:  # and its way out
                program.check_cpu(self.ended[pid]["cpu"] - started,
                                  self.ended[pid]["cpu"] - started + 0.02)

    def check_work(self):
        for pid, facts in {**self.answers, **self.ended}.items():
            if facts["burned"]:
                self.programs[pid].check_burned("burn", facts["burned"])
                self.programs[pid].check_waited("ask_backend", facts["ask_backend"])
        whole = sum(facts["burned"] for facts in {**self.answers, **self.ended}.values())
        found = sum(each.sampled("burn", "running") for each in self.programs.values())
        assert found == pytest.approx(whole, rel=0.05)


def record_gunicorn(backend, scope):
    """Its workers end after some requests; one more is asked for meanwhile."""
    environment = environments.make("servers", "/usr/bin/python3", ["gunicorn", "uwsgi"])
    port = free_port()
    command = [environment + "/bin/gunicorn", "--workers", "2", "--bind", "127.0.0.1:%d" % port,
               "--max-requests", "12", "-c", "prefork.py", "--log-level", "warning", "prefork"]
    with Server(command, port, backend, "gunicorn") as server:
        harness.wait_for(lambda: len(server.workers()) == 2, "both workers")

        def grow():
            server.process.send_signal(signal.SIGTTIN)
            harness.wait_for(lambda: len(server.workers()) == 3, "a third worker")

        return Served(server, "gunicorn", scope, grow)


@pytest.fixture(scope="module", params=["-s", "-a"])
def gunicorn(request, machine, backend):
    return record_gunicorn(backend, request.param)


def test_gunicorn_workers_are_all_there(gunicorn):
    assert len(gunicorn.before) == 2 and len(gunicorn.ended) >= 3, "workers came and went"
    for pid in (gunicorn.master, *gunicorn.programs):
        program = Program(gunicorn.recording, pid)
        assert program.commands == ["gunicorn prefork"]
        assert all(each["python"].startswith("CPython 3.11") for each in program.entries)


def test_gunicorn_cpu_of_each_worker(gunicorn):
    gunicorn.check_cpu()


def test_gunicorn_work_of_each_worker(gunicorn):
    gunicorn.check_work()


def test_gunicorn_names(gunicorn):
    for program in gunicorn.programs.values():
        program.check_names()
        for file, _ in program.lines("ask_backend"):
            assert file == "prefork.py"


@pytest.fixture(scope="module", params=["-s", "-a"])
def uwsgi(request, machine, backend):
    environment = environments.make("servers", "/usr/bin/python3", ["gunicorn", "uwsgi"])
    port = free_port()
    command = [environment + "/bin/uwsgi", "--http-socket", "127.0.0.1:%d" % port, "--master",
               "--processes", "2", "--module", "prefork:application", "--need-app",
               "--die-on-term", "--disable-logging", "--logto", "/dev/null"]
    with Server(command, port, backend, "uwsgi") as server:
        harness.wait_for(lambda: len(server.workers()) == 2, "both workers")
        return Served(server, "uwsgi", request.param)


def test_uwsgi_is_named(uwsgi):
    assert len(uwsgi.programs) == 2
    for program in uwsgi.programs.values():
        assert program.commands == ["uwsgi prefork:application"]
        assert all(each["python"].startswith("CPython 3.11") for each in program.entries)


def test_uwsgi_cpu_of_each_worker(uwsgi):
    uwsgi.check_cpu()
    uwsgi.check_work()


def test_uwsgi_lines(uwsgi):
    sys.path.insert(0, WORKLOADS)
    import family
    import prefork
    sys.path.remove(WORKLOADS)
    for program in uwsgi.programs.values():
        assert program.lines("burn") == {("family.py", family.burn.__code__.co_firstlineno)}
        assert program.lines("ask_backend") == {
            ("prefork.py", prefork.ask_backend.__code__.co_firstlineno)}
        stacks = {tuple(frame.name for frame in each.python) for each in program.samples
                  if each.python and each.python[-1].name == "burn"}
        assert stacks == {("application", "handle_work", "burn")}
