# SPDX-License-Identifier: BSD-2-Clause
"""What all workloads share: their clocks, and how they speak with a test.

A workload prints "ready" on standard output once it does what it is for, goes on until SIGTERM
(or until its work is done), and then tells what it knows of itself as one line of JSON: on
standard output, or into the file that --truth names. Runs on CPython 3.6 to 3.15.
"""
import argparse
import json
import os
import resource
import signal
import sys
import threading
import time

now = time.monotonic
stopping = threading.Event()
recorded = threading.Event()  # set by SIGUSR1: the test says that the recording has begun


def cpu():
    """Seconds of CPU that the calling thread has used."""
    return time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)


if hasattr(threading, "get_native_id"):
    tid = threading.get_native_id
else:
    import ctypes

    def tid():
        return ctypes.CDLL(None).syscall({"x86_64": 186, "aarch64": 178}[os.uname().machine])


def blocks():
    """Times that the calling thread has given up its CPU by itself."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


_local = threading.local()


def runqueue():
    """Seconds that the calling thread has been ready to run without a CPU; 0 without /proc."""
    descriptor = getattr(_local, "schedstat", None)
    if descriptor is None:
        try:
            descriptor = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        except OSError:
            descriptor = -1
        _local.schedstat = descriptor
    return int(os.pread(descriptor, 100, 0).split()[1]) / 1e9 if descriptor >= 0 else 0.0


class Stopwatch:
    """Adds up wall-clock and CPU seconds, and times, of the blocks it is entered for.

    `waited` counts those in which the thread was blocked for at least `long` seconds.
    """

    def __init__(self, long=0.0):
        self.elapsed = self.cpu = 0.0
        self.count = self.waited = 0
        self.long = long

    def __enter__(self):
        self.started = runqueue(), now(), cpu()

    def __exit__(self, *_):
        elapsed, burnt = now() - self.started[1], cpu() - self.started[2]
        queued = runqueue() - self.started[0]
        self.elapsed += elapsed
        self.cpu += burnt
        self.count += 1
        self.waited += elapsed - burnt - queued >= self.long

    def tell(self):
        return {"elapsed": self.elapsed, "cpu": self.cpu, "count": self.count,
                "waited": self.waited}


def name_of(code):
    """The name a profile must show: qualified where the interpreter keeps it so (3.11 on)."""
    return getattr(code, "co_qualname", code.co_name)


def _terminate(*_):
    stopping.set()


def arguments(add=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--truth", help="file for the JSON; default: standard output")
    parser.add_argument("--seconds", type=float, help="stop by itself after so long")
    parser.add_argument("--directory", default=".", help="for the files that the workload makes")
    if add:
        add(parser)
    return parser.parse_args()


def ready(options):
    """To be called by the main thread when the work is about to begin."""
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGALRM, _terminate)
    if signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, lambda *_: recorded.set())
    if options.truth:
        time.sleep(0.3)  # started by the profiler: let it find the interpreter first
    if options.seconds:
        signal.setitimer(signal.ITIMER_REAL, options.seconds)
    print("ready", flush=True)


def tell(options, **facts):
    facts.setdefault("pid", os.getpid())
    facts.setdefault("version", list(sys.version_info[:3]))
    text = json.dumps(facts)
    if options.truth:
        with open(options.truth + ".new", "w") as file:
            file.write(text)
        os.rename(options.truth + ".new", options.truth)
    else:
        print(text, flush=True)
