# SPDX-License-Identifier: BSD-2-Clause
"""Threads that each wait in a known place since a known time, and some that spin, until SIGTERM.

The second line of output, after "ready", is what a dump must find of the waiting ones.
"""
import ctypes
import dis
import json
import os
import select
import signal
import socket
import threading
import time

import truth

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15


def in_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def in_socket():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    targets["in_socket"] = "127.0.0.1:%d" % listener.getsockname()[1]
    kept.extend([listener, server])
    client.recv(1)


def in_pipe():
    reader, writer = os.pipe()
    kept.append(writer)
    os.read(reader, 1)


def in_sleep():
    time.sleep(1000)


def in_poll():
    poller = select.poll()
    for _ in range(4):
        poller.register(os.pipe()[0], select.POLLIN)
    poller.poll()


def in_child():
    child = os.fork()
    if not child:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        time.sleep(1000)
        os._exit(0)
    children.append(child)
    os.waitpid(child, 0)


def deep(n):
    if n:
        return deep(n - 1)
    return in_sleep()


def in_recursion():
    deep(500)


STATES = {"in_lock": "lock", "in_socket": "socket", "in_pipe": "pipe", "in_sleep": "sleep", "in_poll": "poll", "in_child": "child", "in_recursion": "sleep"}
targets, kept, children, facts = {"in_pipe": "pipe", "in_poll": "4 descriptors"}, [], [], {}


def last_line(function):
    return max(line for _, line in dis.findlinestarts(function.__code__) if line)


def wait(name):
    function = globals()[name]
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode(), 0, 0, 0)
    facts[name] = {"tid": truth.tid(), "state": STATES[name], "line": last_line(function),
                   "since": truth.now()}
    function()


def spin():
    while not truth.stopping.is_set():
        pass


def nap():
    time.sleep(1000)


def arguments(parser):
    parser.add_argument("--spin", type=int, default=0)
    parser.add_argument("--nap", type=int, default=0)


def main():
    options = truth.arguments(arguments)
    for name in STATES:
        threading.Thread(target=wait, args=(name,), daemon=True).start()
    while len(facts) < len(STATES) or not children:
        time.sleep(0.01)
    for _ in range(options.nap):
        threading.Thread(target=nap, daemon=True).start()
    time.sleep(1)
    for name, target in targets.items():
        facts[name]["target"] = target
    spinners = [threading.Thread(target=spin, daemon=True) for _ in range(options.spin)]
    for thread in spinners:
        thread.start()
    truth.ready(options)
    print(json.dumps(facts), flush=True)
    while not truth.stopping.is_set():
        time.sleep(0.1)
    os.kill(children[0], 9)
    truth.tell(options, tid=truth.tid())
    os._exit(0)


if __name__ == "__main__":
    main()
