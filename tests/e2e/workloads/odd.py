# SPDX-License-Identifier: BSD-2-Clause
"""Threads in places where a stack is not easily had, until SIGTERM.

The second line of output, after "ready", names the thread of each.
"""
import ctypes
import gc
import hashlib
import json
import os
import sys
import threading
import time

import truth

BLOCK = bytes(1 << 24)
tids = {}
kept = []


class Node:
    pass


def in_collection():
    while True:
        gc.collect()


def in_hash():
    while True:
        hashlib.sha256(BLOCK).digest()  # without the GIL


def in_c_with_the_gil():
    ctypes.PyDLL(None).usleep(10 ** 8)


def generated():
    time.sleep(1000)
    yield


def delegating():
    yield from generated()


def in_generator():
    for _ in delegating():
        pass


def spin_inside():
    while True:
        pass


def in_spin():
    spin_inside()


def arguments(parser):
    parser.add_argument("names", nargs="+")
    parser.add_argument("--leave", action="store_true", help="end the first thread alone")


def run(name):
    tids[name] = truth.tid()
    globals()[name]()


def main():
    options = truth.arguments(arguments)
    for _ in range(100000):
        node = Node()
        node.itself = node
        kept.append(node)
    last = "in_c_with_the_gil" in options.names
    for name in options.names:
        if name != "in_c_with_the_gil":
            threading.Thread(target=run, args=(name,), daemon=True).start()
    while len(tids) < len(options.names) - last:
        time.sleep(0.01)
    if last:  # it lets nobody else go on
        tids["in_c_with_the_gil"] = truth.tid()
    print("ready", flush=True)
    print(json.dumps(tids), flush=True)
    if last:
        in_c_with_the_gil()
    if options.leave:
        ctypes.CDLL(None).pthread_exit(None)
    time.sleep(1000)


if __name__ == "__main__":
    main()
