# SPDX-License-Identifier: BSD-2-Clause
"""A process that does what it is told, a line of standard input at a time, and answers each with a
line of JSON. What it burns CPU in is a function that is named after the place: it knows best where
it is, and how much CPU it took there."""
import ctypes
import json
import os
import sys
import time

CLONE3, CLONE_INTO_CGROUP, SIGCHLD = 435, 0x200000000, 17  # x86-64, linux/sched.h


def spin(seconds):
    start = time.process_time()
    while time.process_time() < start + seconds:
        sum(range(1000))
    return time.process_time() - start


def outside(seconds):
    return spin(seconds)


def inside(seconds):
    return spin(seconds)


def departed(seconds):
    return spin(seconds)


PLACES = {"outside": outside, "inside": inside, "departed": departed}


def burn(place, seconds):
    return {"pid": os.getpid(), "burned": PLACES[place](float(seconds)),
            "cpu": time.process_time()}


def cpu():
    return {"pid": os.getpid(), "cpu": time.process_time()}


def child_do(place, seconds, write):
    """What a child does all its life."""
    os.write(write, json.dumps(burn(place, seconds)).encode())
    os._exit(0)


def child_await(read, write):
    """Reads what the child, or its child, wrote until all of them have ended."""
    os.close(write)
    with os.fdopen(read) as file:
        answer = json.load(file)
    try:
        os.wait()
    except ChildProcessError:
        pass
    return answer


def fork(place, seconds):
    read, write = os.pipe()
    if not os.fork():
        child_do(place, seconds, write)
    return child_await(read, write)


def daemon(place, seconds):
    """In a session of its own, and nobody's child, before it does anything."""
    read, write = os.pipe()
    if not os.fork():
        os.setsid()
        parent = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == parent:
            time.sleep(0.001)
        child_do(place, seconds, write)
    return child_await(read, write)


def born(place, seconds, cgroup):
    """A child that never was in its parent's cgroup. Version 2."""
    read, write = os.pipe()
    directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    arguments = (ctypes.c_uint64 * 11)(CLONE_INTO_CGROUP, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0,
                                       directory)
    if ctypes.CDLL(None).syscall(CLONE3, arguments, ctypes.sizeof(arguments)) == 0:
        child_do(place, seconds, write)
    return child_await(read, write)


def move(cgroup):
    with open(os.path.join(cgroup, "cgroup.procs"), "w") as file:
        file.write(str(os.getpid()))
    return cpu()


def spawn(place, seconds):
    """A child that runs an interpreter of its own."""
    read, write = os.pipe()
    if not os.fork():
        os.set_inheritable(write, True)
        os.execv(sys.executable, [sys.executable, *sys.argv, place, seconds, str(write)])
    return child_await(read, write)


def put(place, seconds, cgroup, count):
    """Starts programs as a service manager does: each goes there before it runs. One at a time."""
    answers = []
    for _ in range(int(count)):
        read, write = os.pipe()
        if not os.fork():
            move(cgroup)
            os.set_inheritable(write, True)
            os.execv(sys.executable, [sys.executable, *sys.argv, place, seconds, str(write)])
        answers.append(child_await(read, write))
    return answers


def run():
    """Another program, which is this one again; it says so with its first line."""
    os.execv(sys.executable, [sys.executable, *sys.argv])


COMMANDS = {each.__name__: each
            for each in (burn, cpu, fork, daemon, born, move, spawn, put, run)}


def main():
    if len(sys.argv) > 1:
        child_do(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    print(json.dumps(cpu()), flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        print(json.dumps(COMMANDS[command](*arguments)), flush=True)


if __name__ == "__main__":
    main()
