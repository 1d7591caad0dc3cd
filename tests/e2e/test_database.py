# SPDX-License-Identifier: BSD-2-Clause
"""Applications that ask a real PostgreSQL: what is said of many small queries, and of few.

The applications count their own calls and queries. psycopg2 and psycopg send one message for a
query, and one when they close their connection.
"""
import http.client
import os
import re
import signal
import socket
import subprocess

import pytest

import environments
import harness
import postgres
from conftest import INTERPRETERS, available, missing
from interpreters import WORKLOADS, Interpreter, Missing

VERSIONS = ((3, 11), (3, 13))
PACKAGES = ["psycopg[binary]", "django", "gunicorn"]
BASES = [each for each in INTERPRETERS if each.version in VERSIONS and not each.root]
REQUESTS = 30
CALL = re.compile(r"(\S+) (\S+):(\d+) sends (\d[\d ]*) messages to (\S+) in each call"
                  r"(?: of (\S+) (\S+):(\d+))? \((\d[\d ]*) calls?, from line (\d+)\)")


def test_all_versions_are_there():
    absent = set(VERSIONS) - {each.version for each in BASES}
    if absent:
        missing("no interpreter to make an environment of: %s" % sorted(absent), True)


@pytest.fixture(scope="module")
def server():
    try:
        with postgres.Postgres() as running:
            yield running
    except Missing as error:
        missing(str(error), True)


@pytest.fixture(scope="module", params=BASES, ids=repr)
def application(request):
    """An interpreter with PACKAGES."""
    base = available(request.param)
    directory = environments.make("database-" + base.name, base.find(), PACKAGES)
    return Interpreter(base.name, lambda: directory + "/bin/python")


@pytest.fixture(scope="module", params=["psycopg2", "psycopg"])
def driver(request, machine):
    """Debian's interpreter with Debian's psycopg2, or the newest one with psycopg."""
    if request.param == "psycopg2":
        found = [each for each in BASES if each.name.endswith("-machine")]
        if not found:
            missing("the machine's python3 is none of those to test", True)
        return available(found[0])
    base = available(BASES[-1])
    directory = environments.make("database-" + base.name, base.find(), PACKAGES)
    return Interpreter(base.name, lambda: directory + "/bin/python")


def place(server, way):
    """(what a driver takes as host, what pyebpf must call the server)."""
    if way == "tcp":
        return "127.0.0.1", server.address
    return server.directory, server.path


def record(interpreter, server, way, script, *arguments):
    host, _ = place(server, way)
    command = interpreter.command(script, "--host", host, "--port", str(server.port),
                                  *map(str, arguments))
    name = "%s-%s-%s" % (interpreter.name, script[:-3], "-".join(map(str, arguments)))
    return harness.follow(command, name.replace("--", ""), 199)


def repeats(recording):
    return recording.report.get("repeats", [])


def verdict(recording):
    return "\n".join(recording.report["verdict"])


def check_messages(recording, target):
    """All are counted; what is sampled is which function they are of."""
    queries = recording.truth["queries"]
    rows = [row for row in recording.report["targets"] if row["target"] == target]
    assert sum(row["sends"] for row in rows) == pytest.approx(queries, rel=0.02, abs=5)
    # A large answer comes in several parts.
    assert 0.98 * queries - 5 <= sum(row["receives"] for row in rows) <= 1.1 * queries + 5


def check_pattern(recording, target, script, function, caller, queries):
    truth, found = recording.truth, repeats(recording)
    assert [(each["function"], each["caller"]) for each in found] == [(function, caller)]
    repeat = found[0]
    assert os.path.basename(repeat["file"]) == os.path.basename(repeat["caller_file"]) == script
    assert repeat["target"] == target and not repeat["at_least"]
    assert repeat["sends"] / repeat["calls"] == pytest.approx(queries, rel=0.02)
    # What was lost, and what was cut at the ends of a row of samples, is made up for.
    assert repeat["calls"] == pytest.approx(truth["calls"], rel=0.05)
    assert queries <= repeat["most"] <= 1.02 * queries + 1
    for name, line in ((function, repeat["line"]), (caller, repeat["caller_line"])):
        assert line == truth["lines"].get(name, line), name
    assert repeat["waits"] >= 0 and repeat["seconds"] <= truth["elapsed"]
    check_verdict(recording, repeat, queries)


def check_verdict(recording, repeat, queries):
    first = recording.report["verdict"][1]
    match = CALL.search(first)
    assert first.startswith("1. ") and match, verdict(recording)
    assert match[1] == repeat["function"] and int(match[3]) == repeat["line"]
    assert int(match[4].replace(" ", "")) == pytest.approx(queries, rel=0.02)
    # A long path is shortened in the middle.
    assert match[5] == repeat["target"] or "…" in match[5]
    if repeat["caller"] != repeat["function"]:
        assert match[6] == repeat["caller"] and int(match[8]) == repeat["caller_line"]
    assert int(match[10]) == repeat["call_line"] and "the N+1 pattern" in first


def check_report(recording):
    """What record has printed: it fits, and the first table ends early enough to be seen."""
    lines = recording.done.stdout.splitlines()
    # The recording's path is never cut: it is there to be copied.
    assert all(len(line) <= 80 or line.strip() == recording.path for line in lines), lines
    table = next(at for at, line in enumerate(lines) if "self s" in line)
    assert lines.index("", table) <= 25, recording.done.stdout


@pytest.mark.parametrize("queries, calls", [(100, 150), (800, 20), (25, 400)])
def test_loops_of_requests(driver, server, queries, calls):
    recording = record(driver, server, "tcp", "database.py", "--kind", "many", "--queries",
                       queries, "--calls", calls)
    assert recording.truth["queries"] == calls * (queries + 1)
    check_messages(recording, server.address)
    check_pattern(recording, server.address, "database.py", "customer_name", "list_orders",
                  queries)
    check_report(recording)


@pytest.mark.parametrize("queries, calls", [(100, 150), (7, 2000)])
def test_loops_that_look_the_same_in_each_call(driver, server, queries, calls):
    """How many calls there are cannot be known then: nothing may be made up."""
    recording = record(driver, server, "tcp", "database.py", "--kind", "bare", "--queries",
                       queries, "--calls", calls)
    check_messages(recording, server.address)
    repeat, = repeats(recording)
    assert (repeat["function"], repeat["caller"]) == ("customer_name", "list_orders")
    assert "calls" not in repeat and "most" not in repeat
    assert repeat["sends"] == pytest.approx(recording.truth["queries"], rel=0.05)
    assert "N+1" not in verdict(recording) and "many round trips" in verdict(recording)


def test_a_few_queries_are_no_pattern(driver, server):
    recording = record(driver, server, "tcp", "database.py", "--kind", "many", "--queries", 7,
                       "--calls", 1500)
    check_messages(recording, server.address)
    assert repeats(recording) == []
    assert "N+1" not in verdict(recording)


def test_a_loop_that_serves_requests_is_no_pattern(driver, server):
    recording = record(driver, server, "unix", "database.py", "--kind", "one", "--calls", 10000)
    check_messages(recording, server.path)
    assert repeats(recording) == []
    assert "N+1" not in verdict(recording)


@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_django_view_with_a_query_for_each_row(application, server, way):
    recording = record(application, server, way, "shop.py", "--view", "orders", "--queries", 100,
                       "--calls", REQUESTS)
    assert recording.truth["queries"] == REQUESTS * 101
    _, target = place(server, way)
    check_messages(recording, target)
    check_pattern(recording, target, "shop.py", "customer_name", "orders", 100)
    check_report(recording)


def test_django_view_that_asks_in_a_comprehension(application, server):
    recording = record(application, server, "tcp", "shop.py", "--view", "inline", "--queries", 100,
                       "--calls", REQUESTS)
    inner = "inline.<locals>.<listcomp>" if application.version < (3, 12) else "inline"
    queries = 100 if inner != "inline" else 101  # with that for the rows
    check_pattern(recording, server.address, "shop.py", inner, "inline", queries)


def test_django_template_is_named_by_its_view(application, server):
    """The queries come from Django alone; loops of its own hide where a page begins."""
    recording = record(application, server, "tcp", "shop.py", "--view", "template", "--queries",
                       100, "--calls", REQUESTS)
    check_messages(recording, server.address)
    repeat, = repeats(recording)
    assert repeat["function"] == "template" and repeat["file"].endswith("/shop.py")
    assert repeat["sends"] == pytest.approx(REQUESTS * 101, rel=0.05)
    if "calls" in repeat:
        assert repeat["sends"] / repeat["calls"] == pytest.approx(101, rel=0.02)


@pytest.mark.parametrize("view", ["joined", "detail"])
def test_django_view_with_one_query(application, server, view):
    recording = record(application, server, "tcp", "shop.py", "--view", view, "--queries", 100,
                       "--calls", 300)
    assert recording.truth["queries"] == 300
    check_messages(recording, server.address)
    assert repeats(recording) == []
    assert "N+1" not in verdict(recording) and "round trips" not in verdict(recording)


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return body
    finally:
        connection.close()


@pytest.fixture
def gunicorn(application, server):
    """A gunicorn with one worker that runs the shop: (worker's pid, port)."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = subprocess.Popen(
        [application.find(), "-B", "-m", "gunicorn", "--workers", "1", "--bind",
         "127.0.0.1:%d" % port, "--chdir", WORKLOADS, "--log-level", "warning",
         "shop:application"],
        env=dict(os.environ, SHOP_HOST="127.0.0.1", SHOP_PORT=str(server.port)))

    def answers():
        try:
            return get(port, "/orders?count=3")
        except OSError:
            return None

    try:
        harness.wait_for(answers, "gunicorn to answer", 30)
        with open("/proc/%d/task/%d/children" % (process.pid, process.pid)) as file:
            yield int(file.read().split()[0]), port
    finally:
        process.terminate()
        process.wait(20)


def test_gunicorn_with_django(gunicorn, server):
    pid, port = gunicorn
    path = harness.output_path("gunicorn-django-%d" % port)
    with harness.Recorder("-p", pid, "-r", "199", "-o", path) as recorder:
        recorder.wait_started()
        for _ in range(REQUESTS):
            get(port, "/orders?count=100")
            get(port, "/joined?count=100")
            get(port, "/detail?count=7")
        recorder.process.send_signal(signal.SIGINT)
        done = recorder.wait()
    assert done.returncode == 0, done.stderr
    recording = harness.Recording(path, done=done)
    recording.truth = {"calls": REQUESTS, "queries": REQUESTS * 103, "lines": {},
                       "elapsed": recording.report["duration_s"]}
    check_messages(recording, server.address)
    check_pattern(recording, server.address, "shop.py", "customer_name", "orders", 100)
    check_report(recording)
