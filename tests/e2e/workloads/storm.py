# SPDX-License-Identifier: BSD-2-Clause
"""Processes that live for 1 to 50 ms: forks, other programs, and some that are killed before."""
import os
import random
import signal
import sys
import time

ALIVE = 6  # at a time


def burn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(100))


def forked():
    burn(random.uniform(0.001, 0.05))
    os._exit(0)


def executed():
    program = random.choice([[sys.executable, "-S", "-E", "-I", "-c", "def work():\n"
                              " for _ in range(%d): pass\nwork()" % random.randrange(400000)],
                             ["/bin/true"], [sys.executable, "--version"]])
    os.execv(program[0], program)


def reap(children):
    pid, _ = os.wait()
    children.discard(pid)


def storm(seconds):
    """Returns how many there were."""
    children, count, end = set(), 0, time.monotonic() + seconds
    quiet = os.open(os.devnull, os.O_WRONLY)
    while time.monotonic() < end:
        pid = os.fork()
        if not pid:
            os.dup2(quiet, 1)
            random.choice([forked, executed])()
        children.add(pid)
        count += 1
        if random.random() < 0.3:
            time.sleep(random.uniform(0, 0.02))
            os.kill(random.choice(list(children)), signal.SIGKILL)
        while len(children) >= ALIVE:
            reap(children)
    while children:
        reap(children)
    return count


random.seed(1)
print("ready", flush=True)
print(storm(float(sys.argv[1])), flush=True)
