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


def burn_first():
    while not truth.stopping.is_set():
        burn(20000)


def burn_second():
    while not truth.stopping.is_set():
        burn(20000)


def burn_third():
    while not truth.stopping.is_set():
        burn(20000)


lives = {}


def live(call):
    started, first = truth.now(), truth.cpu()
    tid = truth.tid()
    while not truth.stopping.is_set():
        call()
    lives[tid] = {"function": call.__name__, "elapsed": truth.now() - started,
                  "cpu": truth.cpu() - first}


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
