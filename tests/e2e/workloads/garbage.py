# SPDX-License-Identifier: BSD-2-Clause
"""Collects garbage from known functions, with a stopwatch of its own in gc.callbacks.

Nothing is collected before SIGUSR1 and after the line "done": all of it lies inside a recording
that begins before and ends after. Threads take turns, for a callback is Python code, in which a
thread can lose the global lock to another: its stopwatch would go on while nothing is collected.
"""
import gc
import signal
import sys
import threading
import time

import truth

clock, burnt = time.perf_counter, time.thread_time
started = threading.Event()
watch = {"count": [0, 0, 0], "elapsed": [0.0, 0.0, 0.0], "cpu": [0.0, 0.0, 0.0], "longest": 0.0,
         "functions": {}}
begun = [0.0, 0.0]


def stopwatch(phase, info):
    if phase == "start":
        begun[:] = clock(), burnt()
        return
    elapsed, cpu = clock() - begun[0], burnt() - begun[1]
    generation = info["generation"]
    watch["count"][generation] += 1
    watch["elapsed"][generation] += elapsed
    watch["cpu"][generation] += cpu
    watch["longest"] = max(watch["longest"], elapsed)
    name = truth.name_of(sys._getframe(1).f_code)
    each = watch["functions"].setdefault(name, {"count": 0, "elapsed": 0.0, "cpu": 0.0})
    each["count"] += 1
    each["elapsed"] += elapsed
    each["cpu"] += cpu


class Node:
    """Part of a cycle; its finalizer is Python code that runs inside the collection."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        finalize()


def finalize():
    total = 0
    for i in range(20):
        total += i
    return total


def allocate_kept(n):
    """Automatic: objects that live on, so that the collector goes through them."""
    kept = []
    for i in range(n):
        kept.append([i])
    return kept


def allocate_cycles(n):
    """Automatic: garbage in cycles."""
    for _ in range(n):
        cycle = [None]
        cycle[0] = cycle


def allocate_in_thread(n):
    kept = []
    for i in range(n):
        kept.append({"number": i, "itself": kept})


def collect_youngest():
    young = [[i] for i in range(2000)]
    gc.collect(0)
    return young


def collect_middle():
    young = [Node() for _ in range(200)]
    del young
    gc.collect(1)


def collect_all():
    gc.collect(2)


def other_interpreter():
    """Another interpreter in this process and how to run code in it; None: this build cannot."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            module = __import__(name)
            return module, module.create()
        except (ImportError, RuntimeError, TypeError):
            pass
    return None


def collect_elsewhere(other):
    """Twice in another interpreter, which has no callbacks and next to nothing to collect."""
    if other:
        other[0].run_string(other[1], "gc.collect(1); gc.collect(1)")
        watch["count"][1] += 2


def in_thread(call, *arguments):
    thread = threading.Thread(target=call, args=arguments)
    thread.start()
    thread.join()


def work(seconds, other):
    end = clock() + seconds
    while clock() < end:
        allocate_kept(60000)
        allocate_cycles(60000)
        in_thread(allocate_in_thread, 30000)
        for _ in range(10):
            collect_youngest()
            in_thread(collect_middle)
        collect_all()
        collect_elsewhere(other)


def add_arguments(parser):
    parser.add_argument("--work", type=float, default=1.5, help="seconds of it after SIGUSR1")
    parser.add_argument("--interpreters", action="store_true", help="collect in another one too")


def main():
    options = truth.arguments(add_arguments)
    gc.disable()
    other = other_interpreter() if options.interpreters else None
    if other:
        other[0].run_string(other[1], "import gc; gc.disable(); gc.collect()")
    gc.set_threshold(2000, 5, 5)
    old = [[i] for i in range(100000)]
    signal.signal(signal.SIGUSR1, lambda *_: started.set())
    truth.ready(options)
    while not started.wait(0.05):
        pass
    gc.callbacks.append(stopwatch)
    gc.enable()
    work(options.work, other)
    gc.disable()
    gc.callbacks.remove(stopwatch)
    print("done", flush=True)
    while not truth.stopping.is_set():
        time.sleep(0.05)
    truth.tell(options, tid=truth.tid(), old=len(old), other=bool(other), **watch)


if __name__ == "__main__":
    main()
