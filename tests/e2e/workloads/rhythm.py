# SPDX-License-Identifier: BSD-2-Clause
"""Burns CPU in beat() and waits for a socket in rest(), by turns, and keeps the time of each.

Begins at SIGUSR1 and ends after --rounds. The other end of the socket is a thread's.
"""
import signal
import socket
import threading
import time

import truth

DELAY = 0.020


def answer(connection):
    while connection.recv(64):
        time.sleep(DELAY)
        connection.sendall(b"!")


def beat(seconds):
    start = truth.cpu()
    while truth.cpu() < start + seconds:
        sum(range(1000))
    return truth.cpu() - start


def rest(connection):
    connection.sendall(b"?")
    return connection.recv(64)


def work(rounds, connection):
    watch, burned = truth.Stopwatch(), 0.0
    for _ in range(rounds):
        burned += beat(0.01)
        with watch:
            rest(connection)
    return burned, watch


def add_arguments(parser):
    parser.add_argument("--rounds", type=int, default=30)


options = truth.arguments(add_arguments)
ours, theirs = socket.socketpair()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
thread = threading.Thread(target=answer, args=(theirs,), daemon=True)
thread.start()
truth.ready(options)
signal.sigwait({signal.SIGUSR1})
started = time.process_time()
burned, watch = work(options.rounds, ours)
truth.tell(options, cpu=time.process_time() - started, burned=burned, rest=watch.tell(),
           lines={each.__name__: each.__code__.co_firstlineno for each in (beat, rest, work)})
