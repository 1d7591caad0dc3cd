# SPDX-License-Identifier: BSD-2-Clause
"""Processes in other namespaces and roots: pid 1 of their own world, with files of their own."""
import os
import shutil

import pytest

import harness
from conftest import CORE
from test_programs import Rhythm, version_text

UNSHARED = ["--pid", "--mount", "--net", "--uts", "--ipc", "--fork", "--kill-child"]
USER = UNSHARED + ["--user", "--map-root-user"]


def inner_pid(pid):
    """unshare's only child, which is pid 1 inside."""
    def child():
        with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
            return file.read().split()

    return int(harness.wait_for(child, "the process inside")[0])


def is_unshared(pid, *kinds):
    return all(os.readlink("/proc/%d/ns/%s" % (pid, kind)) != os.readlink("/proc/self/ns/" + kind)
               for kind in kinds)


@pytest.mark.parametrize("reach", ["-p", "-a"])
@pytest.mark.parametrize("way", ["root", "user"])
def test_unshared(core_interpreter, way, reach):
    command = ["unshare", *(USER if way == "user" else UNSHARED),
               *core_interpreter.command("rhythm.py")]
    seen = []

    def find(pid):
        seen.append(inner_pid(pid))
        assert is_unshared(seen[0], "pid", "mnt", "net", *(["user"] if way == "user" else []))
        return seen[0]

    rhythm = Rhythm("%s-unshared-%s%s" % (core_interpreter.name, way, reach), command,
                    ["-a"] if reach == "-a" else (), pid=find)
    assert rhythm.truth["pid"] == 1
    rhythm.check("rhythm.py", version_text(core_interpreter))
    assert not rhythm.recording.lost().get("frame_unreadable")


OVERLAID = [each for each in CORE if each.root]


@pytest.mark.parametrize("reach", ["-p", "-a"])
@pytest.mark.parametrize("interpreter", OVERLAID, ids=repr)
def test_overlay(machine, interpreter, reach):
    """An overlay file system as the root, as container engines make it; nobody else can see it."""
    from conftest import available
    available(interpreter)
    name = "%s-overlay%s" % (interpreter.name, reach)
    directory = os.path.join(harness.OUTPUT, name)
    shutil.rmtree(directory, ignore_errors=True)
    for part in ("upper", "work", "merged"):
        os.makedirs(os.path.join(directory, part))
    inside = interpreter.command("rhythm.py")
    script = ("mount -t overlay overlay -o lowerdir={root},upperdir={at}/upper,workdir={at}/work "
              "{at}/merged && exec chroot {at}/merged \"$@\"").format(root=interpreter.root,
                                                                      at=directory)
    command = ["unshare", *UNSHARED, "sh", "-c", script, "sh", *inside[2:]]

    def find(pid):
        pid = inner_pid(pid)
        assert os.stat("/proc/%d/root/usr" % pid).st_dev != os.stat(interpreter.root).st_dev
        return pid

    rhythm = Rhythm(name, command, ["-a"] if reach == "-a" else (), pid=find)
    shutil.rmtree(directory)
    rhythm.check("rhythm.py", version_text(interpreter))
    assert not os.path.ismount(directory + "/merged")
