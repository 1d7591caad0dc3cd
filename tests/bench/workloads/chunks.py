# SPDX-License-Identifier: BSD-2-Clause
"""Does the same piece of work again and again, and keeps when each began and how long it took.

  burn DEPTH   pure Python under DEPTH frames of distinct functions
  callbacks N  pure Python at the end of N calls of sorted() with a key in Python, each from three
               Python frames: about 3 N Python frames, and some native ones for each sorted()
  libraries    sleeps, with numpy, scipy, pandas, LLVM and clang mapped, and now and then computes
  block        two threads on one CPU that wake each other about 20,000 times a second
  switch       two processes on one CPU that wake each other as fast as they can
  shares       three functions in shares of 60, 30 and 10
  idle         sleeps
  touch        memory of its own, 4 MiB at a time, that is given back at once: a page fault for each
               page and nothing else
  objects      lists, dictionaries and strings that are made and dropped

Prints "ready", and at SIGTERM one line of JSON: chunks as [start, seconds] of CLOCK_MONOTONIC.
"""
import json
import mmap
import os
import random
import resource
import signal
import sys
import threading
import time

now = time.monotonic
stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())


def spin(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total


def tower(depth):
    """A function that calls another, and so on, DEPTH frames high."""
    space = {"floor_0": spin}
    for i in range(1, depth):
        exec("def floor_%d(n):\n    return floor_%d(n)\n" % (i, i - 1), space)
    return space["floor_%d" % (depth - 1)]


def loop(work):
    chunks = []
    print("ready", flush=True)
    while not stopping.is_set():
        start = now()
        work()
        chunks.append([start, now() - start])
    return chunks


def calibrate(seconds):
    """How many turns of spin() take so long."""
    spin(1000)
    best = 1.0
    for _ in range(5):
        start = now()
        spin(100000)
        best = min(best, now() - start)
    return int(seconds / best * 100000)


def burn(depth):
    call, n = tower(depth), calibrate(0.020)
    return {"chunks": loop(lambda: call(n))}


def callbacks(levels):
    """What the innermost function computes is found on the stack of all the others."""
    space, n = {"spin": spin}, calibrate(0.020)
    exec("def key_0(n):\n    return spin(n)\n", space)
    for i in range(1, levels + 1):
        exec("def outer_%d(n):\n    return inner_%d(n)\n"
             "def inner_%d(n):\n    sorted([n], key=key_%d)\n    return 0\n"
             "def key_%d(n):\n    return outer_%d(n)\n" % (i, i, i, i - 1, i, i), space)
    call = space["outer_%d" % levels]
    return {"chunks": loop(lambda: call(n))}


def libraries():
    import ctypes
    import glob

    import numpy
    import pandas  # noqa: F401
    import scipy.fft
    import scipy.linalg
    import scipy.optimize
    import scipy.sparse.linalg
    import scipy.spatial
    import scipy.special
    import scipy.stats  # noqa: F401
    for pattern in ("libLLVM-*.so.1", "libclang-cpp.so.*", "libclang-*.so.*"):
        for path in glob.glob("/usr/lib/x86_64-linux-gnu/" + pattern):
            ctypes.CDLL(path)
    matrix = numpy.random.rand(200, 200)
    return {"chunks": loop(lambda: matrix @ matrix)}


class PingPong:
    """A thread that answers each byte, after as much work as the caller does."""

    def __init__(self, work):
        self.work = work
        (self.ours, theirs), (mine, self.theirs) = os.pipe(), os.pipe()
        threading.Thread(target=self.answer, args=(mine, theirs), daemon=True).start()

    def answer(self, reader, writer):
        while os.read(reader, 1):
            spin(self.work)
            os.write(writer, b"x")

    def rounds(self, count):
        for _ in range(count):
            os.write(self.theirs, b"x")
            spin(self.work)
            os.read(self.ours, 1)


def blocks():
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def seconds_per_block(pair, work):
    pair.work = work
    start, before = now(), blocks()
    while now() < start + 0.4:
        pair.rounds(50)
    return (now() - start) / (blocks() - before)


def block():
    """Finds the work at which 20,000 blocks a second come about, then keeps to it."""
    pair = PingPong(0)
    work, wanted = calibrate(0.000050), 1 / 20000
    base = seconds_per_block(pair, 0)
    for _ in range(3):
        slope = (seconds_per_block(pair, work) - base) / work
        work = max(1, int((wanted - base) / slope))
    pair.work = work
    start, before = now(), blocks()
    chunks = loop(lambda: pair.rounds(200))
    return {"chunks": chunks, "blocks_per_second": (blocks() - before) / (now() - start)}


def switch():
    """2,000 round trips a chunk: 4,000 context switches."""
    (ours, theirs), (mine, other) = os.pipe(), os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while os.getppid() == parent and os.read(mine, 1):
            os.write(theirs, b"x")
        os._exit(0)

    def work():
        for _ in range(2000):
            os.write(other, b"x")
            os.read(ours, 1)

    chunks = loop(work)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return {"chunks": chunks, "switches": 4000}


def heavy(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total


def medium(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total


def light(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total


def shares():
    n, seconds = calibrate(0.001), {"heavy": 0.0, "medium": 0.0, "light": 0.0}

    def timed(call, turns):
        start = time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)
        call(turns)
        seconds[call.__name__] += time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID) - start

    def work():
        turns = int(n * random.uniform(0.3, 1.7))  # no rhythm that a sampler could fall into
        timed(heavy, 6 * turns)
        timed(medium, 3 * turns)
        timed(light, turns)

    return {"chunks": loop(work), "seconds": seconds}


def touch():
    """Copies over new memory: a microsecond or two for each page, nearly all of it the kernel's."""
    size = 4 << 20
    data = bytes(size)

    def work():
        for _ in range(8):
            memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            memory.write(data)
            memory.close()

    return {"chunks": loop(work), "faults": page_faults()}


def objects():
    def work():
        lists = [[i] for i in range(40000)]
        names = {i: str(i) for i in range(40000)}
        assert len(lists) == len(names)

    return {"chunks": loop(work), "faults": page_faults()}


def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def idle():
    print("ready", flush=True)
    while not stopping.wait(0.2):
        pass
    return {"chunks": []}


def main():
    kind, cpu = sys.argv[1], int(sys.argv[2])
    if cpu >= 0:
        os.sched_setaffinity(0, {cpu})
    sys.setrecursionlimit(10000)
    with_number = kind in ("burn", "callbacks")
    result = globals()[kind](int(sys.argv[3])) if with_number else globals()[kind]()
    print(json.dumps(result), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
