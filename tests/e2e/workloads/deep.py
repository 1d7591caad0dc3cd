# SPDX-License-Identifier: BSD-2-Clause
"""Burns under 1,000 frames, and under more than any profile keeps, by turns."""
import sys
import threading

import truth

DEPTHS = {"whole": 1000, "cut": 3000}
seconds = dict.fromkeys(DEPTHS, 0.0)


def burn_whole(n):
    start = truth.cpu()
    sum(range(n))
    seconds["whole"] += truth.cpu() - start


def burn_cut(n):
    start = truth.cpu()
    sum(range(n))
    seconds["cut"] += truth.cpu() - start


def descend(depth, call, n):
    if depth == 1:
        for _ in range(20):
            call(n)
    else:
        descend(depth - 1, call, n)


def loop():
    while not truth.stopping.is_set():
        descend(DEPTHS["whole"], burn_whole, 500000)
        descend(DEPTHS["cut"], burn_cut, 500000)


def main():
    options = truth.arguments()
    sys.setrecursionlimit(10000)
    threading.stack_size(256 << 20)
    thread = threading.Thread(target=loop)
    truth.ready(options)
    thread.start()
    while not truth.stopping.wait(0.5):
        pass
    thread.join()
    truth.tell(options, seconds=seconds, depths=DEPTHS)


if __name__ == "__main__":
    main()
