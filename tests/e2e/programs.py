# SPDX-License-Identifier: BSD-2-Clause
"""Processes of a recording of several, each held against what it knows of itself."""
import glob
import json
import os
import time

import harness

# The kernel's clock of a process leaves out interrupts that the scheduler's stamps have in.
RELATIVE, ABSOLUTE = 0.03, 0.005


def cpu_clock(pid):
    """CPU seconds of all threads that a process has had, by the kernel (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def facts_left(directory):
    """By pid, what processes have left of themselves in a directory (family.leave())."""
    found = {}
    for path in glob.glob(os.path.join(directory, "*.json")):
        with open(path) as file:
            facts = json.load(file)
        found[facts["pid"]] = facts
    return found


def wait_recording(recorder):
    """Until all that is there is recorded: pyebpf polls then for the first time (poll(2): 7)."""
    def polls():
        with open("/proc/%d/syscall" % recorder.process.pid) as file:
            return file.read().split()[0] == "7"

    recorder.wait_started()
    harness.wait_for(polls, "all processes to be recorded")


class Program:
    """All that a recording says of the process `pid`, be it one program after another."""

    def __init__(self, recording, pid):
        self.pid, self.recording = pid, recording
        self.entries = [each for each in recording.report["processes"] if each["pid"] == pid]
        assert self.entries, "process %d is not in the recording" % pid
        self.samples = [each for each in recording.profile.samples if each.labels["pid"] == pid]
        self._report = None

    @property
    def report(self):
        """The report of this process alone."""
        if self._report is None:
            done = harness.run("report", self.recording.path, "-p", self.pid, "--json")
            assert done.returncode == 0, done.stderr
            self._report = json.loads(done.stdout)
        return self._report

    @property
    def commands(self):
        """One for each program that it has run: before an exec it is what it was forked from."""
        return [each["command"] for each in self.entries]

    def exact(self, state):
        """Seconds of its threads in a state: no sample, the scheduler's own stamps."""
        return sum(thread["states"].get(state, 0)
                   for entry in self.entries for thread in entry["threads"])

    def sampled(self, function, state):
        """Seconds in a function and in what it calls."""
        return sum(each["total"].get(state, 0) for each in self.report["functions"]
                   if each["function"] == function)

    def lines(self, function):
        """{(file's last part, first line)} of a function."""
        return {(os.path.basename(each["file"]), each["line"])
                for each in self.report["functions"] if each["function"] == function}

    def check_cpu(self, least, most=None):
        """Its CPU time is at least what its own clock says, and not more than `most`."""
        most = least if most is None else most
        found = self.exact("running")
        assert found >= least * (1 - RELATIVE) - ABSOLUTE, (self.entries, least)
        assert found <= most * (1 + RELATIVE) + ABSOLUTE, (self.entries, most)

    def check_burned(self, function, seconds, start=0):
        """A tenth and five samples, which may fall to the function before or behind by chance.

        `start`: seconds in which a program that was not seen before is found to be a Python.
        """
        period = 1 / self.recording.report["rate_hz"]
        found = self.sampled(function, "running")
        assert abs(found - seconds) <= 0.1 * seconds + 5 * period + start, (found, seconds)

    def check_waited(self, function, watch):
        """Every one is longer than a period. A CPU that is not free at once is the stopwatch's."""
        waited = self.sampled(function, "socket")
        other = self.sampled(function, "runqueue") + self.sampled(function, "gil")
        seconds = watch["elapsed"] - watch["cpu"]
        assert waited <= seconds * 1.03 + 0.002, (waited, other, watch)
        assert waited + other >= seconds * 0.97 - 0.002, (waited, other, watch)

    def check_names(self):
        """What ran is named: time on a CPU outside of Python is not worth mentioning."""
        running = [each for each in self.samples if each.state == "running"]
        known = sum(each.seconds for each in running if each.python)
        assert known >= 0.9 * sum(each.seconds for each in running) - 0.01, self.entries
        # After a fork the interpreter's constants are readable once the child has touched them:
        # until then the frame around an __init__ (from 3.12 on) has no name, and is counted so.
        unnamed = self.recording.report["lost"]["code_unnamed"]
        for sample in running:
            for frame in sample.python:
                assert frame.file or (unnamed and frame.name == "[unnamed]"), frame
