# SPDX-License-Identifier: BSD-2-Clause
"""Python code that is mostly native: what the standard library does in C, by callbacks and threads.

Says "ready" and goes on until it is killed. Runs in any CPython from 3.7 on. Arguments: "numpy", if
that is to be used, and a library that throws exceptions of C++.
"""
import bz2
import collections
import ctypes
import decimal
import faulthandler
import functools
import gc
import hashlib
import heapq
import io
import json
import lzma
import pickle
import random
import re
import signal
import socket
import sqlite3
import struct
import sys
import tempfile
import threading
import time
import xml.parsers.expat
import zlib

TEXT = "".join("%d: the quick brown fox; " % number for number in range(400))
DATA = TEXT.encode()


def compress():
    for module in zlib, bz2, lzma:
        assert module.decompress(module.compress(DATA)) == DATA


def digest():
    for name in "md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b":
        hashlib.new(name, DATA).hexdigest()
    hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 200)


def database():
    connection = sqlite3.connect(":memory:")
    connection.create_function("half", 1, lambda number: number / 2)
    connection.create_collation("backwards", lambda a, b: (a < b) - (a > b))
    connection.execute("create table numbers (n integer, name text)")
    connection.executemany("insert into numbers values (?, ?)",
                           ((number, str(number)) for number in range(300)))
    connection.execute("select sum(half(n)), max(name) from numbers group by n % 7").fetchall()
    connection.execute("select name from numbers order by name collate backwards").fetchall()
    connection.close()


def expressions():
    re.sub(r"(\d+): (\w+)", lambda match: match.group(2), TEXT)
    re.findall(r"(?:q|b)(\w*)\s+(fox|brown)", TEXT)
    re.match(r"(a|b|ab)*c", "ab" * 12)


def serialize():
    value = {"numbers": list(range(200)), "nested": [{"key": [1.5, None, TEXT[:50]]}] * 20}
    assert json.loads(json.dumps(value)) == value
    assert json.loads(json.dumps(value, indent=1), object_hook=dict) == value
    assert pickle.loads(pickle.dumps(value)) == value


class Ordered:
    def __init__(self, number):
        self.number = number

    def __lt__(self, other):
        return self.number < other.number

    def __hash__(self):
        return int(self.number * 100) % 13

    def __eq__(self, other):
        return self.number == other.number

    def __reduce__(self):
        return Ordered, (self.number,)


def callbacks():
    items = [Ordered(random.random()) for _ in range(200)]
    sorted(items)
    sorted(items, key=lambda item: -item.number)
    heapq.nsmallest(10, items)
    functools.reduce(lambda a, b: a + b, range(300))
    list(map(lambda a: a + 1, filter(lambda a: a % 2, range(200))))
    collections.Counter(Ordered(number) for number in range(100))
    pickle.dumps([Ordered(1)] * 20)


def foreign():
    library = ctypes.CDLL(None)
    pointer = ctypes.POINTER(ctypes.c_int)
    kind = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer)
    numbers = (ctypes.c_int * 200)(*(random.randrange(1000) for _ in range(200)))
    library.qsort(numbers, 200, 4, kind(lambda a, b: a[0] - b[0]))


def parse():
    parser = xml.parsers.expat.ParserCreate()
    names = []
    parser.StartElementHandler = lambda name, attributes: names.append(name)
    parser.CharacterDataHandler = names.append
    parser.Parse("<a>" + "<b c='1'>text</b>" * 100 + "</a>", True)
    compile("def function(a):\n" + "    a += [b * 2 for b in a if b]\n" * 40, "<made>", "exec")


def recurse(depth=60):
    return recurse(depth - 1) + sum(map(lambda a: a, [depth])) if depth else 0


def generate():
    def numbers(depth):
        if depth:
            yield from numbers(depth - 1)
        yield depth

    for _ in range(5):
        sum(numbers(30))
    collections.deque(numbers(20), maxlen=0)


class Cycle:
    def __init__(self):
        self.me = self

    def __del__(self):
        zlib.crc32(DATA)


def collect():
    for _ in range(50):
        Cycle()
    gc.collect()


def calculate():
    decimal.getcontext().prec = 200
    value = decimal.Decimal(2).sqrt() / decimal.Decimal(3).ln()
    pow(12345678901234567890, 98765, int(value * 10**80) | 1)
    struct.pack("<200d", *[float(value)] * 200)
    int(str(7**2000))


def files():
    with tempfile.TemporaryFile() as file, io.TextIOWrapper(file) as text:
        for _ in range(20):
            text.write(TEXT)
        text.flush()
        text.seek(0)
        sum(len(line) for line in text)


def sockets():
    one, other = socket.socketpair()
    with one, other:
        for _ in range(20):
            one.sendall(DATA[:500])
            other.recv(500)


def recurse_and_fail(depth):
    if not depth:
        raise ValueError("made")
    recurse_and_fail(depth - 1)


def fail():
    for _ in range(50):
        try:
            recurse_and_fail(10)
        except ValueError:
            pass


def use_numpy():
    import numpy
    numbers = numpy.random.rand(120, 120)
    numpy.linalg.solve(numbers, numpy.sort(numbers @ numbers, axis=0))
    numpy.apply_along_axis(lambda row: row.sum(), 1, numbers)
    numpy.fft.fft2(numbers)
    numpy.exp(numbers).cumsum().astype("f4").tolist()


def throw(path):
    library = ctypes.CDLL(path)
    kind = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long)
    callback = kind(lambda number: zlib.crc32(DATA[:number]) % 1000)
    return lambda: library.throw_and_catch(50, callback)


WORK = [compress, digest, database, expressions, serialize, callbacks, foreign, parse, recurse,
        generate, collect, calculate, files, sockets, fail]


def work(first):
    for number in range(first, 1 << 62):
        WORK[number % len(WORK)]()


def wait(lock):
    """Threads that mostly wait, in each of the ways to wait."""
    while True:
        with lock:
            time.sleep(0.002)
        if lock.acquire(timeout=0.001):
            lock.release()


def main():
    for argument in sys.argv[1:]:
        WORK.append(use_numpy if argument == "numpy" else throw(argument))
    faulthandler.enable()  # handlers on a stack of their own
    signal.signal(signal.SIGALRM, lambda number, frame: recurse(3))
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    lock = threading.Lock()
    for target, argument in (wait, lock), (wait, lock), (work, 5), (work, 9):
        threading.Thread(target=target, args=(argument,), daemon=True).start()
    print("ready", flush=True)
    work(0)


main()
