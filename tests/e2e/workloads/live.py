# SPDX-License-Identifier: BSD-2-Clause
"""Work and waits of known length, begun once --directory holds a file "go".

Each function has a thread to itself, and its own stopwatch: waits over several seconds, bursts of
short ones, and threads that live for some milliseconds.
"""
import os
import socket
import threading
import time

import truth

watches = {}


def timed(call, *args):
    with watches.setdefault(call.__name__, truth.Stopwatch()):
        call(*args)


def burn(seconds):
    """Keeps the CPU until the thread has used it for so long."""
    clock, which, x = time.clock_gettime, time.CLOCK_THREAD_CPUTIME_ID, 0
    end = clock(which) + seconds
    while clock(which) < end:  # no Python function beside this one
        for i in range(1000):
            x += i


def long_burn():
    burn(1.0)


def long_receive(connection):
    connection.recv(1)


def long_lock(lock):
    lock.acquire()


def long_sleep():
    time.sleep(2.7)


def short_sleeps():
    for _ in range(300):
        time.sleep(0.003)


def short_burn():
    burn(0.020)


def main():
    options = truth.arguments()
    truth.ready(options)
    while not os.path.exists(os.path.join(options.directory, "go")):
        time.sleep(0.01)
    began = time.process_time()
    ours, theirs = socket.socketpair()
    lock = threading.Lock()
    lock.acquire()
    threads = [threading.Thread(target=timed, args=args) for args in (
        (long_burn,), (long_receive, ours), (long_lock, lock), (long_sleep,), (short_sleeps,))]
    for thread in threads:
        thread.start()
    time.sleep(2.2)
    lock.release()
    for _ in range(20):
        thread = threading.Thread(target=timed, args=(short_burn,))
        thread.start()
        thread.join()
    time.sleep(0.6)
    theirs.send(b".")
    for thread in threads:
        thread.join()
    truth.tell(options, cpu=time.process_time() - began, watches={name: watch.tell() for name, watch in watches.items()})


if __name__ == "__main__":
    main()
