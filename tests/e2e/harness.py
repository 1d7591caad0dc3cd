# SPDX-License-Identifier: BSD-2-Clause
"""Starts workloads, runs pyebpf on them, and reads what it says. Owns all waiting in the tests."""
import json
import os
import re
import select
import shutil
import signal
import subprocess
import time

import pprof
from interpreters import BUILD, REPOSITORY

PYEBPF = os.path.join(BUILD, "pyebpf")
OUTPUT = os.path.join(BUILD, "e2e", "recordings")


def wait_for(condition, what, seconds=20):
    """Polls until condition() is true, and returns what it returned."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, "waited %d s for %s" % (seconds, what)
        time.sleep(0.01)


def run(*arguments, timeout=60, **options):
    """Runs pyebpf to its end."""
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([PYEBPF, *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout, **options)


def end(process):
    """Kills it if it still runs."""
    if process.poll() is None:
        process.kill()
        process.wait()


class Workload:
    """A running workload; a context manager that ends it whatever happens."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        **options)
        self.pid = self.process.pid
        self.line()

    def line(self, seconds=30):
        """The next line of its output; the first is "ready"."""
        data, end = b"", time.monotonic() + seconds
        while not data.endswith(b"\n"):
            left = end - time.monotonic()
            assert left > 0 and select.select([self.process.stdout], [], [], left)[0], "no line"
            byte = os.read(self.process.stdout.fileno(), 1)
            assert byte, "the workload ended with status %s" % self.process.wait(10)
            data += byte
        return data.decode()

    def stop(self):
        """Ends it in order and returns its truth."""
        self.process.terminate()
        output, _ = self.process.communicate(timeout=30)
        return json.loads(output.decode().splitlines()[-1])

    def finish(self, seconds=60):
        """Waits until it ends by itself and returns its truth."""
        output, _ = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, "status %s" % self.process.returncode
        return json.loads(output.decode().splitlines()[-1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)
        self.process.stdout.close()


def samples(pid):
    """True once a pyebpf samples: the kernel lists its links to each CPU's clock as descriptors."""
    directory, links = "/proc/%d/fdinfo" % pid, 0
    try:
        for descriptor in os.listdir(directory):
            with open(os.path.join(directory, descriptor)) as file:
                links += "link_type:\tperf" in file.read()
    except (FileNotFoundError, ProcessLookupError):
        pass
    return links >= os.cpu_count()


class Recorder:
    """A pyebpf record in the background."""

    def __init__(self, *arguments, **options):
        self.process = subprocess.Popen([PYEBPF, "record", *map(str, arguments)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, **options)

    def started(self):
        return samples(self.process.pid) or self.process.poll() is not None

    def wait_started(self):
        wait_for(self.started, "the recording to start")
        assert self.process.poll() is None, self.process.communicate()

    def wait(self, timeout=60):
        output, errors = self.process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, output,
                                           errors)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


class Recording:
    """A finished recording, by pyebpf's report and by its raw samples."""

    def __init__(self, path, truth=None, done=None):
        self.path, self.truth, self.done = path, truth, done
        if truth:  # kept beside it, for whoever looks into a failure
            with open(path + ".truth", "w") as file:
                json.dump(truth, file)
        report = run("report", path, "--json")
        assert report.returncode == 0, report.stderr
        self.report = json.loads(report.stdout)
        self.profile = pprof.Profile(path)

    @property
    def ledgers(self):
        """All threads, also of what a process was before it turned into another program."""
        return [thread for process in self.report["processes"] for thread in process["threads"]]

    @property
    def threads(self):
        """Threads of Python processes by their ids."""
        return {thread["tid"]: thread for process in self.report["processes"]
                if process["python"] for thread in process["threads"]}

    def functions(self, name):
        return [each for each in self.report["functions"] if each["function"] == name]

    def function(self, name):
        found = self.functions(name)
        assert len(found) == 1, "%d functions are named %r" % (len(found), name)
        return found[0]

    def lost(self):
        """What is missing of times and of Python's stacks; test_native.py looks at native ones."""
        return {reason: count for reason, count in self.report["lost"].items()
                if count and not reason.startswith("native_")}

    def unexplained_losses(self, **explained):
        """What is lost beyond what can be now and then; `explained` is how much more can be here."""
        usual = {
            # A thread that runs on while it is looked at from outside, at the start or the end.
            "wait_stack": 2,
            # A thread that ends while its list is walked; a page of a name never touched yet.
            "thread_state": 3, "code_unnamed": 3,
            "switch": 10,  # see test_waits.py
        }
        pythons = [each["python"] or "" for each in self.report["processes"]]
        if any(re.search(r"CPython 3\.1[12]\.", python) for python in pythons):
            # A call of the interpreter's loop shows its _PyCFrame before it has set what that points
            # to (3.11 and 3.12, Python/ceval.c): for some instructions any bytes are its frames.
            usual.update(frame_invalid=2, frame_unreadable=2, stack_cut=2)
        usual.update(explained)
        return {reason: count for reason, count in self.lost().items()
                if count > usual.get(reason, 0)}

    def running(self):
        """The samples of time on a CPU whose stack has Python frames."""
        return [each for each in self.profile.samples if each.state == "running" and each.python]


def output_path(name):
    os.makedirs(OUTPUT, exist_ok=True)
    path = os.path.join(OUTPUT, name + ".pb.gz")
    if os.path.exists(path):
        os.unlink(path)
    return path


def attach(interpreter, script, seconds, rate, *arguments):
    """Records a running workload by its pid."""
    name = "%s-%s" % (interpreter.name, os.path.splitext(script)[0])
    path = output_path(name)
    with Workload(interpreter.command(script, *arguments)) as workload:
        started = time.monotonic()
        done = run("record", "-p", workload.pid, "-d", seconds, "-r", rate, "-o", path, "-q")
        ended = time.monotonic()
        assert done.returncode == 0, done.stderr
        truth = workload.stop()
    truth["recorder"] = [started, ended]
    return Recording(path, truth, done)


def follow(command, name, rate):
    """Records all that a workload does after "ready": it waits for SIGUSR1, works and ends."""
    path = output_path(name)
    with Workload(command) as workload, \
            Recorder("-p", workload.pid, "-r", rate, "-o", path) as recorder:
        recorder.wait_started()
        workload.process.send_signal(signal.SIGUSR1)
        truth = workload.finish()
        done = recorder.wait()
    assert done.returncode == 0, done.stderr
    return Recording(path, truth, done)


def follow_script(interpreter, script, rate, *arguments):
    name = "%s-%s" % (interpreter.name, os.path.splitext(script)[0])
    outside, inside = interpreter.share(name)
    recording = follow(interpreter.command(script, "--directory", inside, *arguments), name, rate)
    shutil.rmtree(outside)
    return recording


def launch(interpreter, script, rate, *arguments):
    """Records a workload that pyebpf starts, from its first moment to its end."""
    name = "%s-%s" % (interpreter.name, os.path.splitext(script)[0])
    path = output_path(name)
    outside, inside = interpreter.share(name)
    command = interpreter.command(script, "--truth", inside + "/truth", "--directory", inside,
                                  *arguments)
    done = run("record", "-r", rate, "-o", path, "-q", "--", *command)
    assert done.returncode == 0, done.stderr
    with open(outside + "/truth") as file:
        truth = json.load(file)
    shutil.rmtree(outside)
    return Recording(path, truth, done)
