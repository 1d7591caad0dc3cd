# SPDX-License-Identifier: BSD-2-Clause
"""One thread whose functions hold the interpreter's lock for known times, and two that want it.

Each of the holder's functions notes its own busy intervals, and the waiters when they began to want
the lock and when they had it: what they overlap is who made whom wait, and for how long.
"""
import random
import sys
import threading

import truth

MILLISECOND = 1000000  # in nanoseconds
held = []    # (function, from, to)
waited = []  # (function, from, to)
lives = {}
end = []     # when to stop


def hold_in_c(native):
    """C code that never gives the lock back."""
    native.hold(14 * MILLISECOND)


def hold_in_c_briefly(native):
    native.hold(4 * MILLISECOND)


def burn_large():
    total = 0
    for i in range(9000):
        total += i & 3
    return total


def burn_small():
    total = 0
    for i in range(3000):
        total += i & 3
    return total


def noted(call, *args):
    begun = truth.now()
    call(*args)
    held.append((call.__name__, begun, truth.now()))


def hold_lock(native):
    """Gives the lock back between its parts, and in Python code when it is asked to."""
    while truth.now() < end[0]:
        noted(hold_in_c, native)
        native.pause(1 * MILLISECOND)
        for _ in range(10):
            noted(burn_large)
            noted(burn_small)
        noted(hold_in_c_briefly, native)
        native.pause(1 * MILLISECOND)


def want(native, name):
    """At random moments, so that no part of the holder's round is met more often than others."""
    while truth.now() < end[0]:
        wanted = native.pause(random.randrange(7 * MILLISECOND)) / 1e9
        waited.append((name, wanted, truth.now()))


def want_first(native):
    want(native, "want_first")


def want_second(native):
    want(native, "want_second")


def live(call, native):
    started, tid = truth.now(), truth.tid()
    call(native)
    lives[tid] = {"function": call.__name__, "elapsed": truth.now() - started}


def main():
    options = truth.arguments(lambda parser: parser.add_argument("--libraries", required=True))
    sys.path.insert(0, options.libraries)
    import holders_native
    threads = [threading.Thread(target=live, args=(call, holders_native))
               for call in (hold_lock, want_first, want_second)]
    truth.ready(options)
    truth.recorded.wait()
    end.append(truth.now() + 2.5)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    truth.stopping.wait()
    truth.tell(options, held=held, waited=waited, lives=lives)


if __name__ == "__main__":
    main()
