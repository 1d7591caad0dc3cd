# SPDX-License-Identifier: BSD-2-Clause
"""Threads blocked from before a recording's start to past its end, and threads that come and go."""
import os
import select
import socket
import threading
import time

import truth


def blocked_in_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def blocked_in_socket():
    ours, theirs = socket.socketpair()
    ours.recv(1)
    theirs.close()


def blocked_in_pipe():
    reader, _ = os.pipe()
    os.read(reader, 1)


def blocked_in_sleep():
    time.sleep(1000)


def blocked_in_poll():
    poller = select.poll()
    for _ in range(4):
        poller.register(os.pipe()[0], select.POLLIN)
    poller.poll()


def blocked_in_accept():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    listener.accept()


BLOCKED = {"blocked_in_lock": "lock", "blocked_in_socket": "socket", "blocked_in_pipe": "pipe",
           "blocked_in_sleep": "sleep", "blocked_in_poll": "poll", "blocked_in_accept": "accept"}
blocked_tids = {}


def block(call):
    blocked_tids[call.__name__] = truth.tid()
    call()


def short_burn(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total


def short_nap():
    time.sleep(0.050)


lives = []


def short_life():
    started, first = truth.now(), truth.cpu()
    end = first + 0.020
    while truth.cpu() < end:
        short_burn(20000)
    short_nap()
    lives.append({"tid": truth.tid(), "started": started, "ended": truth.now(),
                  "cpu": truth.cpu() - first})


def main():
    options = truth.arguments()
    for name in BLOCKED:
        threading.Thread(target=block, args=(globals()[name],), daemon=True).start()
    while len(blocked_tids) < len(BLOCKED):
        time.sleep(0.01)
    truth.ready(options)
    while not truth.stopping.is_set():
        thread = threading.Thread(target=short_life)
        thread.start()
        thread.join()
    truth.tell(options, tid=truth.tid(), blocked=BLOCKED, blocked_tids=blocked_tids, lives=lives)
    os._exit(0)


if __name__ == "__main__":
    main()
