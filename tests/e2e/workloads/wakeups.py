# SPDX-License-Identifier: BSD-2-Clause
"""Threads that wait more often than they work, each with its own count of the CPU that it used.

Begins at SIGUSR1 and ends by itself. Between its waits a thread runs for some ten microseconds, about
as long as it takes a CPU to get back to work: who counts that, and for whom, is most of the sum.
"""
import socket
import threading
import time

import truth

threads = {}


def counted(call, *args):
    began = truth.cpu()
    call(*args)
    threads[call.__name__] = {"tid": truth.tid(), "cpu": truth.cpu() - began}


def short_naps():
    for _ in range(1500):
        time.sleep(0.0003)


def longer_naps():
    for _ in range(200):
        time.sleep(0.003)


def asks(connection):
    for _ in range(3000):
        connection.send(b"?")
        connection.recv(1)


def answers(connection):
    for _ in range(3000):
        connection.recv(1)
        connection.send(b"!")


def main():
    options = truth.arguments()
    truth.ready(options)
    truth.recorded.wait()
    ours, theirs = socket.socketpair()
    for group in ((short_naps,),), ((longer_naps,),), ((asks, ours), (answers, theirs)):
        running = [threading.Thread(target=counted, args=each) for each in group]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    truth.tell(options, threads=threads)


if __name__ == "__main__":
    main()
