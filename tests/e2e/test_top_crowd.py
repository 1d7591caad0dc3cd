# SPDX-License-Identifier: BSD-2-Clause
"""pyebpf top of many processes: those of the host and of a tree, as they come, go and stay."""
import contextlib
import glob
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile

import pytest

import harness
from screen import Screen
from test_top import windows

CHILDREN = 12
BURN = 0.1


@contextlib.contextmanager
def batch(*arguments):
    """top -b while it lasts, from its first refresh on: then all that begins is followed.

    .stop() ends it and returns the windows.
    """
    with tempfile.NamedTemporaryFile() as output, subprocess.Popen(
            [harness.PYEBPF, "top", "-b", "--idle", "-i", "0.5", "--view", "process",
             *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=output) as process:
        def written():
            with open(output.name) as file:
                return file.read()

        def stop():
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            return windows(written())

        try:
            harness.wait_for(lambda: "All: " in written() or process.poll() is not None, "top")
            process.stop = stop
            yield process
        finally:
            process.kill()


def burners(interpreter, inside):
    """A shell's command that runs one short process after another."""
    each = shlex.join(interpreter.command("family.py", inside, str(BURN)))
    return "for i in %s; do %s; done" % (" ".join(map(str, range(CHILDREN))), each)


def told(outside):
    truths = {}
    for path in glob.glob(outside + "/*.json"):
        with open(path) as file:
            truths.update({(each := json.load(file))["pid"]: each})
    return truths


def by_process(every):
    """{pid: [seconds on a CPU, names]}. A program that is not known yet has the name of its comm."""
    found = {}
    for window in every:
        for row, columns in window.rows.items():
            pid, name = row.split(" ", 1)
            process = found.setdefault(int(pid), [0, set()])
            process[0] += columns["cpu"] / 100 * window.seconds
            process[1].add(name)
    return found


def check_children(every, truths):
    processes = by_process(every)
    assert len(truths) == CHILDREN
    for pid, truth in truths.items():
        seen, names = processes[pid]
        # What it needs to begin and end is not in its own truth: it asked for that before its end.
        # A percent is written with one decimal: 0.0005 of half a second in each of three windows.
        assert 0.95 * truth["burned"] - 0.001 <= seen <= truth["cpu"] + 0.08, (pid, names, truth)
        assert "family.py" in names


def test_processes_of_the_host_come_and_go(core_interpreter):
    outside, inside = core_interpreter.share("top-crowd")
    with batch("-a") as top:
        subprocess.run(["sh", "-c", burners(core_interpreter, inside)], check=True)
        every = top.stop()
    truths = told(outside)
    shutil.rmtree(outside)
    check_children(every, truths)
    counts = [int(re.match(r"(\d+) processes|", window.lines[0]).group(1) or 1) for window in every]
    assert counts[-1] < CHILDREN + min(counts), "those that have ended are not counted"


ROOT = "import os, sys; sys.stdin.readline(); os.system(sys.argv[1]); sys.stdin.readline()"


def test_a_tree(python):
    """Of a process that starts a shell that starts others."""
    outside, inside = python.share("top-tree")
    root = python.command("unused")[:-1] + ["-c", ROOT, burners(python, inside)]
    with subprocess.Popen(root, stdin=subprocess.PIPE, text=True) as process:
        with batch("-s", "-p", process.pid) as top:
            process.stdin.write("go\n")
            process.stdin.flush()
            harness.wait_for(lambda: len(told(outside)) == CHILDREN, "the children")
            every = top.stop()
        truths = told(outside)
        process.stdin.close()
    shutil.rmtree(outside)
    check_children(every, truths)
    assert by_process(every)[process.pid][1] == {"-c"}
    assert len(by_process(every)) <= CHILDREN + 2, "the root, the shell and the children"


@pytest.mark.parametrize("command, name", [
    (["-m", "http.server", "0", "--bind", "127.0.0.1"], "-m http.server"),
    (["-c", "import time; time.sleep(100)"], "-c")])
def test_names_come_from_the_arguments(python, command, name):
    with subprocess.Popen([python.find(), "-B", *command], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            with Screen("top", "-a", "-i", "0.3", "--view", "process", "--idle", "--filter",
                        name) as screen:
                screen.shows("%d %s" % (process.pid, name))
        finally:
            process.kill()


def test_the_busiest_come_first(python):
    """Those that only wait do not hide the one that works."""
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(harness.Workload(python.command("still.py")))
                for _ in range(9)]
        busy = stack.enter_context(harness.Workload(python.command("gil.py")))
        pids = [argument for each in (*idle, busy) for argument in ("-p", each.pid)]
        screen = stack.enter_context(Screen("top", "-i", "0.5", *pids))
        lines = screen.shows("10 processes, ")
        harness.wait_for(lambda: screen.lines()[1].startswith("%7d gil.py  " % busy.pid),
                         "the busy one:\n" + screen.text())
        assert all(len(line) <= 80 for line in lines)
        busy.stop()
        screen.shows("9 processes, ")
        screen.press("s")
        screen.shows("10 processes, 1 of them ended")
        screen.shows("gil.py    (ended) ")
        for each in idle:
            each.process.send_signal(signal.SIGKILL)
        screen.shows("All processes have ended.")
