# SPDX-License-Identifier: BSD-2-Clause
"""Cgroups that are there for one test: a hierarchy of either version, and directories in it."""
import os
import subprocess
import tempfile

import harness


class Hierarchy:
    """A hierarchy, mounted where nobody else looks. A context manager."""

    def __init__(self, name, *arguments, top="pyebpf-test"):
        self.name, self.arguments = name, arguments
        self.directory = "%s-%d" % (top, os.getpid())

    def __repr__(self):
        return self.name

    def __enter__(self):
        self.mount()
        self.top = os.path.join(self.point, self.directory)
        os.mkdir(self.top)
        return self

    def mount(self):
        self.point = tempfile.mkdtemp(prefix="pyebpf-cgroups-")
        done = subprocess.run(["mount", *self.arguments, "none", self.point],
                              stderr=subprocess.PIPE, text=True)
        if done.returncode:
            os.rmdir(self.point)
            raise OSError(done.stderr)

    def unmount(self):
        subprocess.run(["umount", self.point], check=True)
        os.rmdir(self.point)

    def make(self, path):
        """The directory of a cgroup below this test's own."""
        directory = os.path.join(self.top, path)
        os.makedirs(directory, exist_ok=True)
        return directory

    def path(self, directory):
        """As /proc/PID/cgroup has it."""
        return directory[len(self.point):]

    def __exit__(self, *_):
        for directory, _, _ in os.walk(self.top, topdown=False):
            remove(directory)
        self.unmount()


class OfMachine(Hierarchy):
    """One of version 1 that the machine has mounted, by one of its controllers."""

    def mount(self):
        with open("/proc/self/mountinfo") as file:
            for line in file:
                fields, tail = (part.split() for part in line.split(" - "))
                if tail[0] == "cgroup" and self.name in tail[2].split(","):
                    self.point = fields[4]
                    return
        raise OSError("not mounted")

    def unmount(self):
        pass


VERSION_2 = Hierarchy("v2", "-t", "cgroup2")
VERSION_1 = Hierarchy("v1", "-t", "cgroup", "-o", "none,name=pyebpf_scopes")


def enter(directory, pid):
    with open(os.path.join(directory, "cgroup.procs"), "w") as file:
        file.write(str(pid))


def members(directory):
    with open(os.path.join(directory, "cgroup.procs")) as file:
        return [int(line) for line in file]


def remove(directory):
    """Once it is empty: a process that has ended stays in it for a moment."""
    def removed():
        try:
            os.rmdir(directory)
        except OSError:
            return False
        return True

    harness.wait_for(removed, "%s to be empty" % directory)
