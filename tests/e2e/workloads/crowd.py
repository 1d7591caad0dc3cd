# SPDX-License-Identifier: BSD-2-Clause
"""Burns on one CPU, which it may have to share: all the time that it is away it wants the CPU."""
import os

import truth


def burn(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total


def main():
    options = truth.arguments(lambda parser: parser.add_argument("--cpu", type=int, required=True))
    os.sched_setaffinity(0, {options.cpu})
    truth.ready(options)
    queued = truth.runqueue()
    watch = truth.Stopwatch()
    with watch:
        while not truth.stopping.is_set():
            burn(20000)
        queued = truth.runqueue() - queued
    truth.tell(options, watch=watch.tell(), queued=queued, tid=truth.tid())


if __name__ == "__main__":
    main()
