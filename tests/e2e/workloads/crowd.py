# SPDX-License-Identifier: BSD-2-Clause
"""Burns on one CPU, which it may have to share: all the time that it is away it wants the CPU.

Begins at SIGUSR1, and ends by itself after two seconds.
"""
import os

import truth

SECONDS = 2


def burn(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total


def main():
    options = truth.arguments(lambda parser: parser.add_argument("--cpu", type=int, required=True))
    os.sched_setaffinity(0, {options.cpu})
    truth.ready(options)
    truth.recorded.wait()
    watch, queued, end = truth.Stopwatch(), truth.runqueue(), truth.now() + SECONDS
    with watch:
        while truth.now() < end:
            burn(20000)
        queued = truth.runqueue() - queued
    truth.stopping.wait()
    truth.tell(options, watch=watch.tell(), queued=queued, tid=truth.tid(), began=watch.started[1])


if __name__ == "__main__":
    main()
