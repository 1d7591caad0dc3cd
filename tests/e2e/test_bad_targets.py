# SPDX-License-Identifier: BSD-2-Clause
"""Targets that lie, die, or have files that nobody should read to the end.

Each is recorded by the program as it is shipped and by one built with the sanitizers of addresses
and of undefined behaviour, whose complaints are a failure.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

import harness
import native
import pprof
from interpreters import BUILD, IN_CI, WORKLOADS

SANITIZED = os.path.join(BUILD, "asan", "pyebpf")
MEMORY_MAX = 150 << 10  # KiB: what 500 processes may cost
LIES = ("good frames-cycle frame-itself threads-cycle interpreters-cycle threads-million "
        "name-gigabyte name-negative name-smallest name-control name-wide lines-terabyte "
        "lines-negative lines-endless much churn pointers offsets-random offsets-huge "
        "free-threaded version-unknown garbage").split()
# What the functions of workloads/hostile.c may be called: a name of its own, or none.
OWN_NAMES = re.compile("fake_function_[0-9]+|cut_|n{1000,}|negative|smallest|\\[unnamed\\]|"
                       "\x1b.*|\ufffd{1,100}|", re.DOTALL)
# What is read while it is overwritten can be any mixture of what the target wrote there.
RANDOM = ("churn", "offsets-random", "offsets-huge", "garbage")
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f]")


class Done:
    """pyebpf, run to its end: what it said, and what memory it took at most, in KiB."""

    def __init__(self, program, *arguments, seconds=60, meanwhile=None, **options):
        self.program = program
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            process = subprocess.Popen([program, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=errors, **options)
            if meanwhile:
                meanwhile(process)
            end, done = time.monotonic() + seconds, 0
            while not done and time.monotonic() < end:
                done, status, usage = os.wait4(process.pid, os.WNOHANG)
                time.sleep(0.01)
            if not done:
                process.kill()
                os.wait4(process.pid, 0)
            print(arguments[0], time.monotonic() - end + seconds, "s", self.program)
            assert done, "%s hung for %d s" % (arguments, seconds)
            process.returncode = self.returncode = os.waitstatus_to_exitcode(status)
            self.memory = usage.ru_maxrss
            output.seek(0)
            errors.seek(0)
            self.stdout = output.read().decode("utf-8")  # strict: all that is said is UTF-8
            self.stderr = errors.read().decode("utf-8")
        self.check()

    def check(self):
        for word in ("AddressSanitizer", "LeakSanitizer", "runtime error"):
            assert word not in self.stderr, self.stderr
        assert self.returncode in (0, 1), (self.returncode, self.stderr)
        assert not CONTROL.search(self.stderr), repr(self.stderr)
        if self.program == harness.PYEBPF:
            assert self.memory < MEMORY_MAX, self.memory

    def succeeded(self):
        assert self.returncode == 0, self.stderr
        return self


@pytest.fixture(scope="module", params=["shipped", "sanitized"])
def program(request):
    if request.param == "shipped":
        return harness.PYEBPF
    if not os.path.exists(SANITIZED):
        (pytest.fail if IN_CI else pytest.skip)("no %s: make it" % SANITIZED)
    return SANITIZED


@pytest.fixture(scope="module")
def liar():
    return native.compile_source(os.path.join(BUILD, "e2e", "hostile"), "hostile.c", "-rdynamic",
                                 "-lpthread")


@contextlib.contextmanager
def liars(liar, lies, *late):
    """All of them at once: {lie: pid}."""
    with contextlib.ExitStack() as stack:
        yield {lie: stack.enter_context(harness.Workload([liar, lie, *late])).pid for lie in lies}


def functions_of(profile, pid):
    return {frame.name for sample in profile.samples if sample.labels["pid"] == pid
            for frame in sample.python}


def check_recording(path, pids):
    """Nothing is named as nobody named it; what is good among it is there."""
    profile = pprof.Profile(path)
    for lie, pid in pids.items():
        names = functions_of(profile, pid)
        if lie in RANDOM:
            continue
        for name in names:
            assert OWN_NAMES.fullmatch(name), (lie, name)
    assert functions_of(profile, pids["good"]) == {"fake_function_%d" % i for i in range(12)}


def record_lies(program, liar, *late):
    path = harness.output_path("liars")

    def tell(recorder):
        harness.wait_for(lambda: harness.samples(recorder.pid) or recorder.poll() is not None,
                         "the recording", 60)
        time.sleep(0.3)  # some samples of each before it lies
        for pid in pids.values():
            os.kill(pid, signal.SIGUSR1)

    with liars(liar, LIES, *late) as pids:
        done = Done(program, "record", "-a", "-d", 2, "-o", path,
                    meanwhile=tell if late else None).succeeded()
        check_recording(path, pids)
    assert not CONTROL.search(done.stdout), repr(done.stdout)
    return done, pids


def test_lies_from_the_start(program, liar):
    done, pids = record_lies(program, liar)
    for lie in ("free-threaded", "version-unknown"):
        assert "process %d: " % pids[lie] in done.stderr, done.stderr
    assert "debug offsets of this CPython 3.13 are not those of a release" in done.stderr
    reasons = done.stderr.splitlines()
    assert len(reasons) == len(set(reasons)) and "and 2 others" not in done.stderr
    assert "lost:" in done.stdout and "lost: nothing" not in done.stdout


def test_lies_during_the_recording(program, liar):
    done, _ = record_lies(program, liar, "late")
    assert "lost: nothing" not in done.stdout


def test_dump_of_lies(program, liar):
    """Each by itself: what cannot be dumped is an error that says why."""
    with liars(liar, LIES) as pids:
        for lie, pid in pids.items():
            for arguments in (), ("-n", "--json"):
                done = Done(program, "dump", "-p", pid, *arguments)
                assert done.returncode == 0 or str(pid) in done.stderr or \
                    "this CPython 3.13" in done.stderr, (lie, done.stderr)
                assert not CONTROL.search(done.stdout), (lie, done.stdout)
                if "--json" in arguments and not done.returncode:
                    json.loads(done.stdout)


def test_top_with_liars(program, liar):
    with liars(liar, LIES, "late") as pids:
        def tell(_):
            time.sleep(3)
            for pid in pids.values():
                os.kill(pid, signal.SIGUSR1)

        done = Done(program, "top", "-a", "-b", "-c", 4, "-i", 1, "--native",
                    meanwhile=tell).succeeded()
    assert "fake_function_0" in done.stdout and not CONTROL.search(done.stdout)
