# SPDX-License-Identifier: BSD-2-Clause
"""One recording of a whole host: a server with workers, clients of a database, a process in other
namespaces, and much that is no Python. Each is named, and bounded by what it knows of itself."""
import os
import re
import signal
import subprocess

import pytest

import environments
import harness
import postgres
from conftest import CORE, available, missing
from interpreters import WORKLOADS, Missing
from programs import Program, wait_recording
from test_namespaces import UNSHARED, inner_pid
from test_servers import Served, Server, backend, free_port  # noqa: F401

RATE = 199
CLIENTS = 2


class Host:
    def __init__(self, python, inner, backend, server):
        environment = environments.make("servers", "/usr/bin/python3", ["gunicorn", "uwsgi"])
        port = free_port()
        gunicorn = [environment + "/bin/gunicorn", "--workers", "2", "--bind",
                    "127.0.0.1:%d" % port, "-c", "prefork.py", "--log-level", "warning", "prefork"]
        client = python.command("database.py", "--host", "127.0.0.1", "--port", str(server.port),
                                "--kind", "many", "--queries", "20", "--calls", "150")
        unshared = ["unshare", *UNSHARED, *inner.command("rhythm.py")]
        self.address = server.address
        with Server(gunicorn, port, backend, "host") as self.server, \
                harness.Workload(client) as first, harness.Workload(client) as second, \
                harness.Workload(unshared) as apart, \
                subprocess.Popen(["sh", "-c", "while :; do sleep 0.01; done"]) as shell:
            self.inner = inner_pid(apart.pid)
            self.others = {shell.pid, apart.pid, server.process.pid}

            def begin():
                for pid in (first.pid, second.pid, self.inner):
                    os.kill(pid, signal.SIGUSR1)

            self.served = Served(self.server, "host", "-a", begin)
            shell.kill()
            self.clients = {each.pid: each.finish() for each in (first, second)}
            self.apart = apart.finish()
        self.recording = self.served.recording


@pytest.fixture(scope="module")
def host(python, backend):  # noqa: F811
    """Debian's interpreter has psycopg2; that of the process apart comes from Debian sid."""
    machine_python = next((each for each in CORE + [python] if each.name.endswith("-machine")),
                          None)
    if machine_python is None:
        from conftest import INTERPRETERS
        machine_python = next(each for each in INTERPRETERS if each.name.endswith("-machine"))
    inner = available(next(each for each in CORE if each.root))
    try:
        with postgres.Postgres() as server:
            return Host(available(machine_python), inner, backend, server)
    except Missing as error:
        missing(str(error), True)


def test_workers(host):
    host.served.check_cpu()
    for program in host.served.programs.values():
        assert program.commands == ["gunicorn prefork"]


def test_workers_wait_for_their_backend(host):
    host.served.check_work()


def test_clients(host):
    for pid, truth in host.clients.items():
        program = Program(host.recording, pid)
        assert program.commands == ["database.py"]
        # Connected before; what is done after the work is little.
        program.check_cpu(truth["cpu"], truth["cpu"] + 0.06)
        rows = [each for each in program.report["targets"] if each["target"] == host.address]
        assert sum(each["sends"] for each in rows) == pytest.approx(truth["queries"], rel=0.02,
                                                                     abs=5)
        waited = truth["elapsed"] - truth["cpu"]
        assert program.sampled("dispatch", "socket") <= waited * 1.03 + 0.005
        away = sum(program.sampled("dispatch", state) for state in ("socket", "runqueue"))
        assert away >= waited * 0.9 - 0.01, (away, truth)


def test_process_apart(host):
    program, truth = Program(host.recording, host.inner), host.apart
    assert truth["pid"] == 1 and program.commands == ["rhythm.py"]
    program.check_cpu(truth["cpu"], truth["cpu"] + 0.06)
    program.check_waited("rest", truth["rest"])
    assert program.lines("rest") == {("rhythm.py", truth["lines"]["rest"])}


def test_nothing_else_than_python(host):
    for process in host.recording.report["processes"]:
        assert process["python"].startswith("CPython"), process
        assert process["command"]
    assert not host.others & {process["pid"] for process in host.recording.report["processes"]}
    names = {sample.labels["process"] for sample in host.recording.profile.samples}
    assert not names & {"sh", "sleep", "postgres", "unshare", "pyebpf", ""}


def test_table_of_programs(host):
    done = harness.run("report", host.recording.path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert re.match(r"\d+ processes of \d+ programs, \d+\.\d s", lines[0]), lines[0]
    table = next(at for at, line in enumerate(lines) if line.startswith(" self s"))
    assert table < 25
    rows = {}
    for line in lines[2:table]:
        match = re.match(r" +([\d.]+|-) +\S+ +([\d.]+|-) +\S+ +\S+ (\S.*?\S)  +(\S.*)  "
                         r"(?:pid \d+|(\d+) pids)$", line)
        if match:
            rows.setdefault(match[4], match)  # the one that did most
    served = host.served
    assert {"gunicorn prefork", "database.py", "rhythm.py"} <= set(rows), done.stdout
    assert int(rows["gunicorn prefork"][5]) == len(served.programs) + 1
    for name, pids in (("gunicorn prefork", [served.master, *served.programs]),
                       ("database.py", host.clients), ("rhythm.py", [host.inner])):
        found = sum(Program(served.recording, pid).exact("running") for pid in pids)
        assert float(rows[name][1]) >= round(found, 2) - 0.011, (name, found, done.stdout)
        assert rows[name][3] in ("CPU-bound", "I/O-bound", "Mixed", "Mostly idle"), rows[name]
