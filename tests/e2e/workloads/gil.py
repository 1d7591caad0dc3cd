# SPDX-License-Identifier: BSD-2-Clause
"""Three threads that want the interpreter's global lock all the time, and one that seldom does."""
import threading
import time

import truth


def burn(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total


def turns():
    """Burns a millisecond at a time, and counts those in which the thread was away for longer.

    Others keep the lock for 5 ms at least, so that no turn has two waits for it.
    """
    waits, stopwatch = 0, (truth.now(), truth.cpu())
    while not truth.stopping.is_set():
        burn(10000)
        before, stopwatch = stopwatch, (truth.now(), truth.cpu())
        waits += (stopwatch[0] - before[0]) - (stopwatch[1] - before[1]) > 0.003
    return waits


def burn_first():
    return turns()


def burn_second():
    return turns()


def burn_third():
    return turns()


lives = {}


def live(call):
    started, first = truth.now(), truth.cpu()
    tid = truth.tid()
    waits = call()
    lives[tid] = {"function": call.__name__, "elapsed": truth.now() - started,
                  "cpu": truth.cpu() - first, "waits": waits}


def main():
    options = truth.arguments()
    threads = [threading.Thread(target=live, args=(call,))
               for call in (burn_first, burn_second, burn_third)]
    truth.ready(options)
    for thread in threads:
        thread.start()
    while not truth.stopping.is_set():
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    truth.tell(options, tid=truth.tid(), lives=lives)


if __name__ == "__main__":
    main()
