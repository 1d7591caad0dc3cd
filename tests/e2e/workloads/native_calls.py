# SPDX-License-Identifier: BSD-2-Clause
"""Calls C in every way that Python does, and is called back by it, in turns of ten milliseconds.

A phase is a function that does one thing n times, so that nearly all of its time is in the C
function or the callback it is named for. `native_probe` notes, with the C library's own unwinder,
the native callers of what it burns in; a case of the test has the order of Python and C frames.
"""
import _signal
import ctypes
import functools
import hashlib
import json
import mmap
import os
import random
import re
import signal
import sqlite3
import sys
import time
import types
import zlib

import truth

TURN, WARM_UP = 0.010, 0.3
STEP = 2000000 # of native_probe.burn(): about a millisecond
SPIN = 1000    # of spin(), in callbacks: about 30 microseconds


def spin(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total


# What is burnt in is C, of the interpreter or of libraries.
RANDOM = random.Random(1)
TEXT = bytes(RANDOM.choice(b"abcdefgh \n") for _ in range(131072))
BYTES = TEXT * 8
DOCUMENT = json.dumps([{"name": "n%d" % i, "values": [i, i / 7, None, True, "\u00e9" * 9]}
                       for i in range(500)])
PATTERN, SUBJECT = re.compile("(a+)+$"), "a" * 14 + "b"
QUERY = ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 4000) "
         "SELECT sum(x % 7) FROM c")
DATABASE = sqlite3.connect(":memory:")


def compress(n):
    for _ in range(n):
        zlib.compress(TEXT, 9)


def digest(n):
    for _ in range(n):
        hashlib.sha256(BYTES)


def query(n):
    for _ in range(n):
        DATABASE.execute(QUERY).fetchall()


def match(n):
    for _ in range(n):
        PATTERN.match(SUBJECT)


def load(n):
    for _ in range(n):
        json.loads(DOCUMENT)


def burn(n):
    for _ in range(n):
        native_probe.burn(STEP)


def deleted(n):
    for _ in range(n):
        native_deleted.burn(STEP)


def late(n):
    for _ in range(n):
        native_late.burn(STEP)


def throw(n):
    for _ in range(n):
        native_exceptions.throw_and_catch(100)


def handler(n):
    for _ in range(n):
        native_probe.burn_in_handler(STEP)


def handler_elsewhere(n):
    for _ in range(n):
        native_probe.burn_in_handler_elsewhere(STEP)


def generated(n):
    for _ in range(n):
        generated_loop(STEP)


def read_clock(n):
    for _ in range(n):
        native_probe.read_clock(20000)


def read_time(n):
    clock = time.time
    for _ in range(n * 100):
        clock(), clock(), clock(), clock(), clock(), clock(), clock(), clock(), clock(), clock()


# C that calls Python back.
ITEMS = [RANDOM.random() for _ in range(20)]


def order_key(item):
    spin(SPIN)
    return item


def order(n):
    for _ in range(n):
        sorted(ITEMS, key=order_key)


class Compared:
    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        spin(SPIN)
        return self.value < other.value

    def __del__(self):
        spin(SPIN)

    def __getattr__(self, name):
        spin(SPIN)
        return name


COMPARED = [Compared(item) for item in ITEMS]


def compare(n):
    for _ in range(n):
        sorted(COMPARED)


def finalize(n):
    for _ in range(n):
        Compared(0)


class Built:
    def __init__(self):
        spin(SPIN)


def construct(n):
    for _ in range(n):
        Built()


def attribute(n):
    for _ in range(n):
        getattr(COMPARED[0], "missing")


COMPARISON = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_double),
                              ctypes.POINTER(ctypes.c_double))
ARRAY = ctypes.c_double * len(ITEMS)


def quick_compare(left, right):
    spin(SPIN)
    return (left[0] > right[0]) - (left[0] < right[0])


QUICK_COMPARE = COMPARISON(quick_compare)
qsort = ctypes.CDLL(None).qsort


def quick_order(n):
    for _ in range(n):
        qsort(ARRAY(*ITEMS), len(ITEMS), ctypes.sizeof(ctypes.c_double), QUICK_COMPARE)


def produce():
    for item in ITEMS:
        spin(SPIN)
        yield item


def generate(n):
    for _ in range(n):
        sum(produce())


def double(item):
    spin(SPIN)
    return item + item


def add_up(total, item):
    spin(SPIN)
    return total + item


def reduce_mapped(n):
    for _ in range(n):
        functools.reduce(add_up, map(double, ITEMS))


CODE = compile("\n\nfor _ in range(200):\n    total = [each for each in 'several' if each > 'e']\n",
               "<executed>", "exec")


def execute(n):
    for _ in range(n):
        exec(CODE, {})


@types.coroutine
def pause():
    yield


async def innermost():
    await pause()
    spin(SPIN)


async def middle():
    await innermost()


async def outermost():
    await middle()


def send(n):
    for _ in range(n):
        coroutine = outermost()
        coroutine.send(None)
        try:
            coroutine.send(None)
        except StopIteration:
            pass


# Python and C in turns, to a known depth.
def py_1(n):
    return native_probe.call_plain(py_2, n)


def py_2(n):
    return native_probe.call_aligned(py_3, n)


def py_3(n):
    return native_probe.call_alloca(py_4, n)


def py_4(n):
    return native_probe.call_without_pointer(py_5, n)


def py_5(n):
    return py_6(n)


def py_6(n):
    return native_probe.call_many(py_7, n)


def py_7(n):
    return py_8(n)


def py_8(n):
    return native_probe.burn(n)


def nest(n):
    for _ in range(n):
        py_1(STEP)


def in_thread(n):
    return native_probe.burn(n)


def start_thread(n):
    for _ in range(n):
        native_probe.call_in_thread(in_thread, STEP)


def python_loop(n):
    total = 0
    for i in range(n * 1000):
        total += i & 3
    return total


PHASES = [compress, digest, query, match, load, burn, deleted, late, throw, handler,
          handler_elsewhere, generated, read_clock, read_time, order, compare, finalize, construct,
          attribute, quick_order, generate, reduce_mapped, execute, send, nest, start_thread,
          python_loop]


# Where a process names the code that it generates; -X perf does too.
MAP = "/tmp/perf-%d.map"

# push %rbp; mov %rsp,%rbp; 1: dec %rdi; jnz 1b; pop %rbp; ret
LOOP = bytes.fromhex("55 4889e5 48ffcf 75fb 5d c3")


def generate_code():
    """A function in memory that no file is behind, named as a compiler at run time would do it."""
    global generated_loop, memory
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(LOOP)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    with open(MAP % os.getpid(), "a") as file:
        file.write("%x %x generated_loop\n" % (address, len(LOOP)))
    generated_loop = ctypes.CFUNCTYPE(None, ctypes.c_uint64)(address)


def import_native(name):
    globals()[name] = __import__(name)


def prepare(options, phases):
    sys.path.insert(0, options.libraries)
    import_native("native_probe")
    if throw in phases:
        import_native("native_exceptions")
    if deleted in phases:
        import_native("native_deleted")
        os.unlink(native_deleted.__file__)
    if generated in phases:
        generate_code()


def calibrate(phase):
    """How often it must do its work to take a turn's time."""
    n, taken = 1, 0.0
    while taken < TURN / 4:
        n *= 2
        taken = min(measure(phase, n), measure(phase, n))
    return max(1, int(n * TURN / taken))


def measure(phase, n):
    started = time.process_time()
    phase(n)
    return time.process_time() - started


class Phase:
    def __init__(self, call):
        self.call, self.watch, self.process = call, truth.Stopwatch(), 0.0
        self.n = calibrate(call) if call is not late else 0

    def tell(self):
        code = self.call.__code__
        return dict(self.watch.tell(), process=self.process, line=code.co_firstlineno + 2)


def drive(phase):
    started = time.process_time()
    with phase.watch:
        phase.call(phase.n)
    phase.process += time.process_time() - started


def warm_up(phases, told):
    """The same, until the recording has begun and the profiler has made what it needs for stacks.

    The test tells by SIGUSR1 when it has begun.
    """
    started = None if told else truth.now()
    while not truth.stopping.is_set():
        for phase in phases:
            phase.call(phase.n)
            if started is None and signal.SIGUSR1 in _signal.sigpending():
                started = truth.now()
            if started is not None and truth.now() - started > WARM_UP:
                return


def rounds(phases):
    """Loads the late library when the recording is well under way."""
    for phase in phases:
        if phase.call is late:
            import_native("native_late")
            phase.n = calibrate(late)
    while not truth.stopping.is_set():
        for phase in phases:
            drive(phase)


def main():
    options = truth.arguments(add_arguments)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    chosen = options.phases.split(",") if options.phases else []
    calls = [call for call in PHASES if not chosen or call.__name__ in chosen]
    prepare(options, calls)
    phases = [Phase(call) for call in calls]
    truth.ready(options)
    warm_up(phases, not options.truth)
    rounds(phases)
    stacks, lost = native_probe.noted()
    if os.path.exists(MAP % os.getpid()):
        os.unlink(MAP % os.getpid())
    truth.tell(options, tid=truth.tid(), executable=sys.executable, noted=stacks, noted_lost=lost,
               phases={phase.call.__name__: phase.tell() for phase in phases})


def add_arguments(parser):
    parser.add_argument("--libraries", help="directory of the extension modules")
    parser.add_argument("--phases", help="names of phases, by commas; default: all")


if __name__ == "__main__":
    main()
