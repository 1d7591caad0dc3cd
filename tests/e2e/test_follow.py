# SPDX-License-Identifier: BSD-2-Clause
"""Processes that come by themselves: children, their children, whole cgroups and the host."""
import glob
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

import harness
from interpreters import BUILD, WORKLOADS

RATE = 499
BURN = 0.1  # CPU seconds of a child: it is there and gone


class Family:
    """A recording of processes, and what each of them has left of itself."""

    def __init__(self, recording, directory):
        self.recording = recording
        self.members = {}
        for path in glob.glob(os.path.join(directory, "*.json")):
            with open(path) as file:
                member = json.load(file)
            self.members[member["pid"]] = member
        shutil.rmtree(directory)

    def burned(self):
        return sum(member["burned"] for member in self.members.values())

    def recorded(self):
        """CPU seconds of burn() in all of them."""
        return self.recording.function("burn")["self"].get("running", 0)

    def processes(self):
        return {process["pid"]: process for process in self.recording.report["processes"]
                if process["python"]}

    def check(self, count):
        assert len(self.members) == count
        assert self.recorded() >= 0.95 * self.burned(), self.recording.report["lost"]
        # Of some 500 samples; the kernel's clock misses none, but chance adds 2 percent and more.
        assert self.recorded() <= 1.15 * self.burned() + 0.01


def child(interpreter, inside, seconds=BURN, *arguments):
    return shlex.join(interpreter.command("family.py", inside, str(seconds), *arguments))


def record(interpreter, name, script, *arguments):
    """Records what a shell starts."""
    path = harness.output_path("%s-%s" % (interpreter.name, name))
    outside, inside = interpreter.share(name)
    done = harness.run("record", *arguments, "-r", RATE, "-o", path, "-q", "--", "sh", "-c",
                       script(inside), timeout=120)
    assert done.returncode == 0, done.stderr
    return Family(harness.Recording(path, done=done), outside)


def test_short_children(core_interpreter):
    """A shell's: it has no Python, and is not in the recording."""
    family = record(core_interpreter, "children", lambda inside: "for i in 1 2 3 4 5 6 7 8 9 10; "
                    "do %s; done" % child(core_interpreter, inside), "-s")
    family.check(10)
    assert set(family.members) == set(family.processes())
    for process in family.processes().values():
        assert process["command"] == "family.py"
        assert process["python"].startswith("CPython %d.%d." % core_interpreter.version)


def test_forks(core_interpreter):
    """From their first millisecond: none of them runs for long."""
    family = record(core_interpreter, "forks", lambda inside: child(
        core_interpreter, inside, 0.02, "--forks", "40") + "; :", "-s")
    family.check(41)
    assert set(family.members) <= set(family.processes())


def test_without_children(python):
    """Only what was named, where nothing else was asked for."""
    family = record(python, "alone", lambda inside: "exec " + child(
        python, inside, BURN, "--forks", "3"))
    assert len(family.members) == 4 and len(family.processes()) == 1
    assert family.recorded() <= 1.2 * BURN
