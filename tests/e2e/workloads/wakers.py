# SPDX-License-Identifier: BSD-2-Clause
"""Waits that end because another thread or process does something, by turns in one of two functions.

For each kind of wait there is a thread that waits and one or two that wake it: in even rounds soon,
in odd ones late. The waiting function is timed for itself, by who ends the wait.
"""
import collections
import os
import queue
import threading
import time

import truth

ROUNDS = 60
SOON, LATE = 0.004, 0.013  # seconds: less than a period of the 199 Hz at which the test samples
watches = collections.defaultdict(truth.Stopwatch)


class Turn:
    """Passed from the thread that is about to wait to the one that ends its wait."""

    def __init__(self):
        self.lock = threading.Lock()
        self.lock.acquire()

    def give(self):
        self.lock.release()

    def take(self):
        self.lock.acquire()


# lock --------------------------------------------------------------------------------------------
def lock_wait(lock):
    lock.acquire()


def lock_soon(lock):
    lock.release()


def lock_late(lock):
    lock.release()


# Condition: the waiter must be in wait() before it is notified, which the condition's lock sees to.
def condition_wait(condition):
    condition.wait()


def condition_soon(condition):
    with condition:
        condition.notify()


def condition_late(condition):
    with condition:
        condition.notify()


# queue.Queue is made of conditions, SimpleQueue of C. ----------------------------------------------
def queue_wait(work):
    work.get()


def queue_soon(work):
    work.put(1)


def queue_late(work):
    work.put(2)


def simple_wait(work):
    work.get()


def simple_soon(work):
    work.put(1)


def simple_late(work):
    work.put(2)


# pipe ----------------------------------------------------------------------------------------------
def pipe_wait(pipe):
    os.read(pipe[0], 1)


def pipe_soon(pipe):
    os.write(pipe[1], b"x")


def pipe_late(pipe):
    os.write(pipe[1], b"x")


# pipe, written by another process ------------------------------------------------------------------
def process_wait(pipe):
    os.read(pipe[0], 1)


def timed(wait, waker, thing):
    with watches[wait.__name__, waker]:
        wait(thing)


def wait_often(turns, wait, wakers, thing):
    for index in range(ROUNDS):
        turns[index % len(turns)].give()
        timed(wait, wakers[index % len(wakers)].__name__, thing)


def condition_often(turns, wait, wakers, condition):
    with condition:
        wait_often(turns, wait, wakers, condition)


def wake_often(turn, wake, delay, thing):
    for _ in range(ROUNDS // 2):
        turn.take()
        time.sleep(delay)
        wake(thing)


def process_often(turn, thing):
    for _ in range(ROUNDS):
        os.write(turn, b"x")
        timed(process_wait, "process", thing)


def start_process(thing):
    """A child that answers with a byte on a pipe each byte on another. Returns (pid, descriptor)."""
    turn = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(turn[1])
        while os.read(turn[0], 1):
            time.sleep(LATE)
            os.write(thing[1], b"x")
        os._exit(0)
    os.close(turn[0])
    return pid, turn[1]


def threads():
    lock = threading.Lock()
    lock.acquire()
    kinds = [(wait_often, lock_wait, (lock_soon, lock_late), lock),
             (condition_often, condition_wait, (condition_soon, condition_late),
              threading.Condition()),
             (wait_often, queue_wait, (queue_soon, queue_late), queue.Queue()),
             (wait_often, simple_wait, (simple_soon, simple_late), queue.SimpleQueue()),
             (wait_often, pipe_wait, (pipe_soon, pipe_late), os.pipe())]
    for often, wait, wakers, thing in kinds:
        turns = Turn(), Turn()
        yield threading.Thread(target=often, args=(turns, wait, wakers, thing))
        for turn, wake, delay in zip(turns, wakers, (SOON, LATE)):
            yield threading.Thread(target=wake_often, args=(turn, wake, delay, thing))


def main():
    options = truth.arguments()
    pipe = os.pipe()
    child, turn = start_process(pipe)
    truth.ready(options)
    truth.recorded.wait()
    workers = list(threads()) + [threading.Thread(target=process_often, args=(turn, pipe))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    os.close(turn)
    os.waitpid(child, 0)
    truth.stopping.wait()
    truth.tell(options, child=child, waits=[
        dict(watch.tell(), wait=wait, waker=waker) for (wait, waker), watch in watches.items()])


if __name__ == "__main__":
    main()
