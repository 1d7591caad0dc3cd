# SPDX-License-Identifier: BSD-2-Clause
"""Waits for pipes, terminals, eventfds and other processes, each in a function of its own.

Whoever is waited for sleeps for DELAY after it has been told to. Begins at SIGUSR1 and ends by
itself.
"""
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import tty

import truth

ROUNDS = 10
DELAY = 0.030  # seconds: six periods of the 199 Hz at which the test samples
SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(%r)" % (10 * DELAY)]
SLEEP_AND_SAY = [sys.executable, "-S", "-c",
                 "import time; time.sleep(%r); print('said')" % (10 * DELAY)]
watches, targets = {}, {}


def timed(call, *args):
    with watches.setdefault(call.__name__, truth.Stopwatch()):
        return call(*args)


def read_pipe(descriptor):
    return os.read(descriptor, 8)


def read_fifo(descriptor):
    return os.read(descriptor, 8)


def read_terminal(descriptor):
    return os.read(descriptor, 8)


def read_eventfd(descriptor):
    return os.read(descriptor, 8)


def write_full_pipe(descriptor):
    os.write(descriptor, bytes(4096))


def run_process():
    subprocess.run(SLEEP)


def communicate_with_process():
    with subprocess.Popen(SLEEP_AND_SAY, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.communicate()[0]


def read_output_of_process():
    with subprocess.Popen(SLEEP_AND_SAY, stdout=subprocess.PIPE) as process:
        assert process.stdout.read()


def answer(turn, done, descriptor, act):
    """The partner: as often as it is told to, sleeps and then does what the other waits for."""
    while True:
        turn.acquire()
        if done:
            return
        time.sleep(DELAY)
        act(descriptor)


def rounds(call, waited, partner, act):
    turn, done = threading.Semaphore(0), []
    thread = threading.Thread(target=answer, args=(turn, done, partner, act))
    thread.start()
    for _ in range(ROUNDS):
        turn.release()
        timed(call, waited)
    done.append(True)
    turn.release()
    thread.join()


def write_one(descriptor):
    os.write(descriptor, b"1")


def add_one(descriptor):
    os.write(descriptor, (1).to_bytes(8, sys.byteorder))


def read_page(descriptor):
    os.read(descriptor, 4096)


def fill(descriptor):
    os.set_blocking(descriptor, False)
    try:
        while True:
            os.write(descriptor, bytes(4096))
    except BlockingIOError:
        os.set_blocking(descriptor, True)


def wait_for_pipes(directory):
    reader, writer = os.pipe()
    rounds(read_pipe, reader, writer, write_one)
    reader, writer = os.pipe()
    fill(writer)
    rounds(write_full_pipe, writer, reader, read_page)
    path = os.path.join(directory, "fifo")
    os.mkfifo(path)
    both = os.open(path, os.O_RDWR)
    targets["read_fifo"] = path
    rounds(read_fifo, both, both, write_one)
    # A chroot may have no /dev: then the terminal is made by the test.
    eventfd = ctypes.CDLL(None).eventfd(0, 0)
    rounds(read_eventfd, eventfd, eventfd, add_one)


def wait_for_terminal(master, slave):
    tty.setraw(slave)
    rounds(read_terminal, slave, master, write_one)


def wait_for_processes():
    for _ in range(3):
        timed(run_process)
        timed(communicate_with_process)
        timed(read_output_of_process)


def main():
    options = truth.arguments(lambda parser: parser.add_argument("--terminal", type=int, nargs=2))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    truth.ready(options)
    signal.sigwait({signal.SIGUSR1})
    wait_for_pipes(options.directory)
    wait_for_terminal(*options.terminal)
    wait_for_processes()
    truth.tell(options, waits={name: watch.tell() for name, watch in watches.items()},
               targets=targets, rounds=ROUNDS, delay=DELAY)


if __name__ == "__main__":
    main()
