# SPDX-License-Identifier: BSD-2-Clause
"""Real applications, from their packages: gunicorn with Flask, and a numpy job."""
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

import environments
import harness
from interpreters import WORKLOADS, Interpreter

PACKAGES = ["gunicorn", "flask", "numpy"]
DELAY = 0.020


@pytest.fixture(scope="session")
def environment():
    """The directory of a virtual environment with PACKAGES, made once."""
    return environments.make("venv", "/usr/bin/python3", PACKAGES)


@pytest.fixture
def backend():
    """A TCP server in this process that answers every byte after DELAY; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection):
        with connection:
            while connection.recv(64):
                time.sleep(DELAY)
                connection.sendall(b"!")

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def get(port, path):
    with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), timeout=20) as answer:
        return answer.read()


@pytest.fixture
def gunicorn(environment, backend):
    """One gunicorn with one synchronous worker; its port."""
    port = free_port()
    process = subprocess.Popen(
        [environment + "/bin/gunicorn", "--workers", "1", "--bind", "127.0.0.1:%d" % port,
         "--chdir", WORKLOADS, "--log-level", "warning", "web:app"],
        env=dict(os.environ, BACKEND_PORT=str(backend), PYTHONDONTWRITEBYTECODE="1"))

    def answers():
        try:
            return get(port, "/truth")
        except (urllib.error.URLError, OSError):
            return None

    try:
        harness.wait_for(answers, "gunicorn to answer", 30)
        get(port, "/orders")
        yield port
    finally:
        process.terminate()
        process.wait(20)


def difference(after, before):
    return {name: {key: watch[key] - before["watches"][name][key] for key in watch}
            for name, watch in after["watches"].items()}


def test_gunicorn_with_flask(gunicorn, backend):
    requests = 50
    path = harness.output_path("gunicorn")
    before = json.loads(get(gunicorn, "/truth"))
    with harness.Recorder("-p", before["pid"], "-r", "199", "-o", path, "-q") as recorder:
        recorder.wait_started()
        before = json.loads(get(gunicorn, "/truth"))
        for _ in range(requests):
            get(gunicorn, "/orders")
        after = json.loads(get(gunicorn, "/truth"))
        recorder.process.send_signal(signal.SIGINT)
        done = recorder.wait()
    assert done.returncode == 0, done.stderr
    truth, recording = difference(after, before), harness.Recording(path)
    assert truth["ask_backend"]["count"] == 2 * requests

    asked = [each for each in recording.profile.samples
             if each.state == "socket" and each.python and each.python[-1].name == "ask_backend"]
    assert sum(each.waits for each in asked) == 2 * requests
    watch, duration = truth["ask_backend"], recording.report["duration_s"]
    assert abs(sum(each.seconds for each in asked) - watch["elapsed"] + watch["cpu"]) <= \
        0.03 * duration
    names = [frame.name for frame in asked[0].python]
    assert names[0] == "<module>" and names[-2:] == ["list_orders", "ask_backend"]
    assert recording.function("ask_backend")["class"] == "io"

    rendered = recording.function("render")["total"].get("running", 0)
    assert abs(rendered - truth["render"]["cpu"]) <= 0.03 * duration
    thread = recording.threads[after["tid"]]
    assert sum(thread["states"].values()) == pytest.approx(thread["seconds"], rel=0.01)
    # Between two requests the worker waits for a client, not for I/O.
    assert thread["states"].get("poll", 0) <= 0.01 * duration, thread
    done = harness.run("report", "-f", "collapsed", path)
    assert "[wait: socket 127.0.0.1:%d]" % backend in done.stdout


def test_numpy_job(environment):
    interpreter = Interpreter("3.11-numpy", lambda: environment + "/bin/python")
    environ = os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    assert environ == "1"
    recording = harness.attach(interpreter, "numerics.py", 3, 999)
    watches = recording.truth["watches"]
    whole = sum(watch["cpu"] for watch in watches.values())
    running = recording.report["totals"]["states"]["running"]
    for name, watch in watches.items():
        share = recording.function(name)["total"].get("running", 0) / running
        assert abs(share - watch["cpu"] / whole) <= 0.03, (name, share, watch)
    split = recording.report["totals"]["running"]
    assert split.get("native", 0) > split.get("python", 0), "numpy's time is native"
    assert not recording.unexplained_losses()
