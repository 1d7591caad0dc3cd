# SPDX-License-Identifier: BSD-2-Clause
"""Which CPython builds there are to test against, and how each is run.

The machine's own python3, those that pyenv has, and Debian sid's, unpacked once into build/sid
and run by chroot: the target's files are then not where they seem to be, as in a container.
"""
import os
import re
import shutil
import subprocess

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("PYEBPF_BUILD") or os.path.join(REPOSITORY, "build")
SID = os.environ.get("PYEBPF_SID_ROOT") or os.path.join(BUILD, "sid", "root")
SID_VERSIONS = ["3.13", "3.14", "3.15"]
WORKLOADS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "workloads")
IN_CI = os.environ.get("CI") == "true"
REQUIRED = {(3, 9), (3, 11), (3, 13), (3, 14), (3, 15)}


class Missing(Exception):
    pass


class Interpreter:
    """`find` returns the path of the program inside `root`, or raises Missing."""

    def __init__(self, name, find, root=""):
        self.name, self.find, self.root = name, find, root
        self.version = tuple(int(part) for part in re.match(r"(\d+)\.(\d+)", name).groups())

    def __repr__(self):
        return self.name

    def outside(self, path):
        """The path by which the tests see what the interpreter knows as `path`."""
        return self.root + path if self.root else path

    def share(self, name):
        """An empty directory for a workload: (path outside, path inside)."""
        inside = "/tmp/pyebpf-tests/" + name if self.root else os.path.join(BUILD, "e2e", name)
        outside = self.outside(inside)
        shutil.rmtree(outside, ignore_errors=True)
        os.makedirs(outside)
        return outside, inside

    def command(self, script, *arguments):
        """The command that runs a workload."""
        path = self.find()
        directory = WORKLOADS
        if self.root:
            directory = "/tmp/pyebpf-workloads"
            shutil.copytree(WORKLOADS, self.outside(directory), dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("__pycache__"))
        prefix = ["chroot", self.root] if self.root else []
        return prefix + [path, "-B", os.path.join(directory, script), *arguments]


def unpack_sid():
    """Makes the folder of Debian sid's interpreters. Takes ten seconds, once."""
    if os.path.exists(SID + "/usr/bin/python" + SID_VERSIONS[-1]):
        return
    if not shutil.which("mmdebstrap"):
        raise Missing("mmdebstrap is not installed")
    shutil.rmtree(SID, ignore_errors=True)
    os.makedirs(os.path.dirname(SID), exist_ok=True)
    command = ["mmdebstrap", "--quiet", "--variant=extract",
               "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
               '--aptopt=Acquire::Check-Valid-Until "false"',
               "--include=" + ",".join("python" + version for version in SID_VERSIONS), "sid", SID]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, timeout=600)
    if done.returncode:
        shutil.rmtree(SID, ignore_errors=True)
        raise Missing("Debian sid could not be unpacked: " + done.stdout[-500:])


def in_sid(version):
    def find():
        unpack_sid()
        return "/usr/bin/python" + version

    return Interpreter("%s-sid" % version, find, SID)


def in_pyenv(version, directory):
    return Interpreter("%s-pyenv" % version, lambda: os.path.join(directory, "bin", "python3"))


def unsupported():
    """A CPython 3.6, if pyenv has one: too old for the profiler."""
    pyenv = os.path.join(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"), "versions")
    for version in os.listdir(pyenv) if os.path.isdir(pyenv) else []:
        if re.fullmatch(r"3\.6\.\d+", version):
            return in_pyenv(version, os.path.join(pyenv, version))
    return None


def of_machine():
    path = os.path.realpath("/usr/bin/python3")
    version = re.search(r"python(3\.\d+)", path)
    if version:
        return Interpreter("%s-machine" % version.group(1), lambda: path)
    return None


def absent(version):
    def find():
        raise Missing("no CPython %d.%d on this machine" % version)

    return Interpreter("%d.%d-missing" % version, find)


def all_interpreters():
    found = []
    pyenv = os.path.join(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"), "versions")
    for version in sorted(os.listdir(pyenv) if os.path.isdir(pyenv) else []):
        directory = os.path.join(pyenv, version)
        if re.fullmatch(r"3\.([7-9]|\d\d)\.\d+", version) and not os.path.islink(directory):
            found.append(in_pyenv(version, directory))
    if os.path.exists("/usr/bin/python3") and of_machine():
        found.append(of_machine())
    found += [in_sid(version) for version in SID_VERSIONS]
    found += [absent(version) for version in REQUIRED - {each.version for each in found}]
    return sorted(found, key=lambda each: (each.version, each.name))
