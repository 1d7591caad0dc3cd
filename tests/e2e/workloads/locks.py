# SPDX-License-Identifier: BSD-2-Clause
"""Threads that wait for each other, in the ways that the arguments name, until they are killed.

The first line of output is "ready", the second tells as JSON, for each way, which threads wait for
which, by id: what a dump must find once all of them have come to wait.
"""
import ctypes
import json
import sys
import threading
import time

import truth

kept = []  # threads wait in these beyond all else that knows them
tids = {}  # of the way that is being set up


class Mutex:
    """A pthread_mutex_t, taken with the GIL given back, or kept."""

    def __init__(self, kind=0):
        kept.append(self)
        self.bytes = ctypes.create_string_buffer(64)
        attribute = ctypes.create_string_buffer(16)
        library = ctypes.CDLL(None)
        library.pthread_mutexattr_init(attribute)
        library.pthread_mutexattr_settype(attribute, kind)
        library.pthread_mutex_init(self.bytes, attribute)

    def acquire(self):
        ctypes.CDLL(None).pthread_mutex_lock(self.bytes)

    def acquire_with_gil(self):
        ctypes.PyDLL(None).pthread_mutex_lock(self.bytes)


def start(name, call, *arguments):
    def run():
        tids[name] = truth.tid()
        call(*arguments)

    threading.Thread(target=run, name=name, daemon=True).start()


def both(own, other, barrier):
    own.acquire()
    barrier.wait()
    other.acquire()


def ring(make, count):
    """Threads t0, t1, … of which each waits for the lock of the next."""
    locks, barrier = [make() for _ in range(count)], threading.Barrier(count)
    for i in range(count):
        start("t%d" % i, both, locks[i], locks[(i + 1) % count], barrier)
    return {"t%d" % i: "t%d" % ((i + 1) % count) for i in range(count)}


def with_blocks(own, other, barrier):
    with own:
        barrier.wait()
        with other:
            pass


def statements():
    """The same with the statement, one of the locks in an attribute."""
    locks, barrier = [threading.RLock(), threading.RLock()], threading.Barrier(2)
    start("t0", with_blocks, locks[0], locks[1], barrier)
    start("t1", with_blocks, locks[1], locks[0], barrier)
    return {"t0": "t1", "t1": "t0"}


def hold(lock, taken):
    lock.acquire()
    taken.set()
    time.sleep(1000)


def chain(make):
    """Two threads that wait for one that sleeps: no deadlock."""
    lock, taken = make(), threading.Event()
    start("owner", hold, lock, taken)
    taken.wait()
    start("t0", lock.acquire)
    start("t1", lock.acquire)
    return {"t0": "owner", "t1": "owner"}


def timed():
    """Two threads of which each gives up after a while: no deadlock."""
    locks, barrier = [threading.RLock(), threading.RLock()], threading.Barrier(2)

    def run(own, other):
        own.acquire()
        barrier.wait()
        other.acquire(timeout=1000)

    start("t0", run, locks[0], locks[1])
    start("t1", run, locks[1], locks[0])
    return {"t0": "t1", "t1": "t0"}


def left(make):
    """A lock whose holder has ended. The other begins first: it could be given the same identity."""
    lock, go = make(), threading.Event()
    kept.append(lock)

    def run():
        go.wait()
        lock.acquire()

    start("t0", run)
    while "t0" not in tids:
        time.sleep(0.01)
    holder = threading.Thread(target=lock.acquire)
    holder.start()
    holder.join()
    go.set()
    return {"t0": "t0"}


def own():
    """A thread that takes its own mutex again."""
    def run():
        mutex = Mutex()
        mutex.acquire()
        mutex.acquire()

    start("t0", run)
    return {"t0": "t0"}


def mixed():
    """A mutex and an RLock."""
    locks, barrier = [Mutex(), threading.RLock()], threading.Barrier(2)
    start("t0", both, locks[0], locks[1], barrier)
    start("t1", both, locks[1], locks[0], barrier)
    return {"t0": "t1", "t1": "t0"}


def keep(mutex, taken, go):
    mutex.acquire()
    taken.set()
    go.acquire()  # without the GIL; it is wanted back while the other has it
    time.sleep(0.5)


def gil():
    """One has the GIL and wants the mutex of another, which wants the GIL."""
    mutex, taken, go = Mutex(), threading.Event(), threading.Lock()
    go.acquire()
    start("t0", keep, mutex, taken, go)
    taken.wait()

    def run():
        go.release()
        mutex.acquire_with_gil()

    return {"t0": "t1", "t1": "t0"}, run


SCENES = {
    "mutex": lambda: ring(Mutex, 2),
    "recursive_mutex": lambda: ring(lambda: Mutex(1), 2),
    "three_mutexes": lambda: ring(Mutex, 3),
    "rlock": lambda: ring(threading.RLock, 2),
    "three_rlocks": lambda: ring(threading.RLock, 3),
    "statements": statements,
    "lock": lambda: ring(threading.Lock, 2),
    "mutex_chain": lambda: chain(Mutex),
    "rlock_chain": lambda: chain(threading.RLock),
    "timed": timed,
    "left_mutex": lambda: left(Mutex),
    "left_rlock": lambda: left(threading.RLock),
    "own": own,
    "mixed": mixed,
    "gil": gil,
}


def settle(name):
    """Starts a scene. Returns {waiting tid: tid of the holder}, and what the first thread does."""
    tids.clear()
    scene = SCENES[name]()
    waits, last = scene if isinstance(scene, tuple) else (scene, None)
    if last:
        tids["t1"] = truth.tid()
    while not set(waits) | set(waits.values()) <= set(tids):
        time.sleep(0.01)
    return {tids[one]: tids[other] for one, other in waits.items()}, last


def main():
    waits = {}
    for name in sys.argv[1:]:
        waits[name], last = settle(name)
    print("ready", flush=True)
    print(json.dumps(waits), flush=True)
    if last:
        last()
    time.sleep(1000)


if __name__ == "__main__":
    main()
