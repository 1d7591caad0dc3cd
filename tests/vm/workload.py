# SPDX-License-Identifier: BSD-2-Clause
"""What is recorded in the virtual machine: waits of known kinds and numbers, and known CPU time.

Reads commands from standard input. `round` lets the threads that have been there from the start
and as many new ones each do their work once, and then prints one line of JSON: how often each
function was called, and what each thread's own clock says. Runs on CPython 3.9 to 3.15.

Delays are long and rounds few: under emulation a line of Python takes ten times longer than else.
"""
import json
import select
import socket
import sys
import threading
import time

DELAY = 0.05  # seconds
ROUNDS = 12
NAPS = 300
BURN = 0.8  # seconds of CPU time


def cpu():
    return time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)


def burn():
    end, value = cpu() + BURN, 0
    while cpu() < end:
        for number in range(2000):
            value = value * 3 + number & 0xffff
    return 1


def sleep_long():
    for _ in range(ROUNDS):
        time.sleep(DELAY)
    return ROUNDS


def sleep_short():
    for _ in range(NAPS):
        time.sleep(0.001)
    return NAPS


def receive(connection):
    for _ in range(ROUNDS):
        connection.recv(1)
    return ROUNDS


def poll_one(connection):
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    for _ in range(ROUNDS):
        poller.poll(60000)
        connection.recv(1)
    return ROUNDS


def take(lock):
    for _ in range(ROUNDS):
        lock.acquire()
    return ROUNDS


class Partners:
    """Ends the waits of the others, one after the other, long after they have begun."""

    def __init__(self):
        self.here, self.there = socket.socketpair()
        self.polled, self.polling = socket.socketpair()
        self.lock = threading.Lock()
        self.lock.acquire()

    def serve(self):
        for _ in range(ROUNDS):
            for end in (lambda: self.there.send(b"x"), lambda: self.polling.send(b"x"),
                        self.lock.release):
                time.sleep(DELAY)
                end()
        return 3 * ROUNDS


def life(function, arguments, result):
    before = cpu()
    count = function(*arguments)
    result[threading.get_native_id()] = {
        "function": function.__name__, "count": count, "cpu": cpu() - before}


class Worker:
    """A thread that is there from the start, and works when it is told to."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments
        self.begin, self.done = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            self.begin.acquire()
            life(self.function, self.arguments, self.result)
            self.done.release()


def main():
    partners = Partners()
    workers = [Worker(receive, partners.here), Worker(take, partners.lock), Worker(sleep_long),
               Worker(burn)]
    print("ready", flush=True)
    for _ in sys.stdin:
        result = {}
        fresh = [threading.Thread(target=life, args=(function, arguments, result))
                 for function, arguments in ((poll_one, (partners.polled,)), (sleep_short, ()),
                                             (partners.serve, ()))]
        for worker in workers:
            worker.result = result
            worker.begin.release()
        for thread in fresh:
            thread.start()
        for thread in fresh:
            thread.join()
        for worker in workers:
            worker.done.acquire()
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
