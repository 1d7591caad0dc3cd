# SPDX-License-Identifier: BSD-2-Clause
"""Waits of every kind at once, each in a thread and a function of its own, a known number of times.

Each waiting function is timed by a stopwatch around its call. Delays are made by a partner thread,
which begins to sleep when the other is about to wait: so each call blocks once, for about DELAY,
where STATES says so.
"""
import mmap
import os
import select
import signal
import socket
import threading
import time
import warnings

import truth

ROUNDS = 80
DELAY = 0.010  # seconds: two periods of the 199 Hz at which the test samples
watches = {}


def timed(name, call, *args):
    with watches.setdefault(name, truth.Stopwatch(0.51 * DELAY)):
        return call(*args)


# socket: a client, and a server that takes DELAY to answer. ------------------------------------
def socket_receive(connection):
    return connection.recv(64)


def server_receive(connection):
    return connection.recv(64)


def think():
    time.sleep(DELAY)


class Turn:
    """Passed from the thread that is about to wait to the partner that ends its wait."""

    def __init__(self):
        self.lock = threading.Lock()
        self.lock.acquire()

    def give(self):
        self.lock.release()

    def take(self):
        self.lock.acquire()


def socket_client(port):
    connection = socket.create_connection(("127.0.0.1", port))
    for _ in range(ROUNDS):
        think()
        connection.sendall(b"question")
        timed("socket_receive", socket_receive, connection)
    connection.close()


def socket_server(listener):
    connection, _ = listener.accept()
    for _ in range(ROUNDS):
        timed("server_receive", server_receive, connection)
        think()
        connection.sendall(b"answer")
    connection.recv(64)


# One descriptor in poll() is a wait for that descriptor: socket. --------------------------------
def poll_one_socket(poller):
    return poller.poll(5000)


def one_socket(ours, turn):
    poller = select.poll()
    poller.register(ours, select.POLLIN)
    for _ in range(ROUNDS):
        turn.give()
        timed("poll_one_socket", poll_one_socket, poller)
        ours.recv(1)


# pipe, poll: a partner writes a byte each DELAY. ------------------------------------------------
def feed(turn, *writes):
    """Sleeps, then writes into the next of the descriptors, ROUNDS times."""
    for index in range(ROUNDS):
        turn.take()
        think()
        os.write(writes[index % len(writes)], b"x")


def pipe_read(descriptor):
    return os.read(descriptor, 1)


def pipe_reader(descriptor, turn):
    for _ in range(ROUNDS):
        turn.give()
        timed("pipe_read", pipe_read, descriptor)


def poll_many(poller):
    return poller.poll(5)


def poll_loop(readers, turn):
    poller = select.epoll()
    for reader in readers:
        poller.register(reader, select.EPOLLIN)
    for _ in range(ROUNDS):
        turn.give()
        for descriptor, _ in timed("poll_many", poll_many, poller):
            os.read(descriptor, 1)


# accept: in accept() itself, and in select() of a listener beside a pipe. ----------------------
def accept_client(listener):
    return listener.accept()[0]


def select_listener(listener, pipe):
    return select.select([listener, pipe], [], [], 5)


def accept_loop(listener, turn):
    for _ in range(ROUNDS):
        turn.give()
        timed("accept_client", accept_client, listener).close()


def select_loop(listener, pipe, turn):
    for _ in range(ROUNDS):
        turn.give()
        timed("select_listener", select_listener, listener, pipe)
        listener.accept()[0].close()


def connect_often(port, turn):
    for _ in range(ROUNDS):
        turn.take()
        think()
        socket.create_connection(("127.0.0.1", port)).close()


# lock: taken when the partner gives it back. ----------------------------------------------------
def lock_acquire(lock):
    lock.acquire()


def lock_loop(lock, turn):
    for _ in range(ROUNDS):
        turn.give()
        timed("lock_acquire", lock_acquire, lock)


def lock_holder(lock, turn):
    for _ in range(ROUNDS):
        turn.take()
        think()
        lock.release()


# sleep, child. ----------------------------------------------------------------------------------
def sleep_a_little():
    time.sleep(DELAY)


def sleep_loop():
    for _ in range(ROUNDS):
        timed("sleep_a_little", sleep_a_little)


def select_sleep():
    select.select([], [], [], DELAY)


def select_sleep_loop():
    for _ in range(ROUNDS):
        timed("select_sleep", select_sleep)


def child_wait(pid):
    os.waitpid(pid, 0)


def child_loop():
    for _ in range(ROUNDS // 4):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            time.sleep(2 * DELAY)
            os._exit(0)
        timed("child_wait", child_wait, pid)


# file, fault: as long as the disk takes, in as many parts as it likes. --------------------------
def file_sync(descriptor):
    os.fsync(descriptor)


def file_loop(directory):
    path = os.path.join(directory, "synced")
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC)
    end = truth.now() + ROUNDS * DELAY
    while truth.now() < end:
        os.write(descriptor, b"x" * 65536)
        timed("file_sync", file_sync, descriptor)
    os.close(descriptor)
    os.unlink(path)


def fault_in(memory, offset):
    return memory[offset]


def make_cold(directory):
    """A file of 32 MiB that is on the disk and not in memory."""
    path = os.path.join(directory, "cold")
    with open(path, "wb") as file:
        for _ in range(512):
            file.write(b"x" * 65536)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


def fault_loop(path):
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if hasattr(memory, "madvise"):
            memory.madvise(mmap.MADV_RANDOM)
        for offset in range(0, len(memory), 4096 * 2):
            timed("fault_in", fault_in, memory, offset)
        memory.close()
    os.unlink(path)


# function: the state it waits in, and whether each call blocks exactly once for DELAY or more.
STATES = {
    "socket_receive": ("socket", True), "server_receive": ("socket", True),
    "poll_one_socket": ("socket", True), "pipe_read": ("pipe", True),
    "poll_many": ("poll", True), "accept_client": ("accept", True),
    "select_listener": ("accept", True), "lock_acquire": ("lock", True),
    "sleep_a_little": ("sleep", True), "select_sleep": ("sleep", True),
    "child_wait": ("child", True), "file_sync": ("file", False), "fault_in": ("fault", False),
}


def listen():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    return listener, listener.getsockname()[1]


def threads(options):
    server, server_port = listen()
    plain, plain_port = listen()
    selected, selected_port = listen()
    ours, theirs = socket.socketpair()
    pipe_in, pipe_out = os.pipe()
    quiet_in, _ = os.pipe()
    many = [os.pipe() for _ in range(4)]
    lock = threading.Lock()
    lock.acquire()
    by_poll, by_pipe, by_epoll, by_accept, by_select, by_lock = (Turn() for _ in range(6))
    calls = [
        (socket_server, server), (socket_client, server_port),
        (one_socket, ours, by_poll), (feed, by_poll, theirs.fileno()),
        (pipe_reader, pipe_in, by_pipe), (feed, by_pipe, pipe_out),
        (poll_loop, [reader for reader, _ in many], by_epoll),
        (feed, by_epoll) + tuple(writer for _, writer in many),
        (accept_loop, plain, by_accept), (connect_often, plain_port, by_accept),
        (select_loop, selected, quiet_in, by_select), (connect_often, selected_port, by_select),
        (lock_loop, lock, by_lock), (lock_holder, lock, by_lock),
        (sleep_loop,), (select_sleep_loop,), (child_loop,),
        (file_loop, options.directory),
    ]
    return calls, theirs, server_port


lives = {}


def live(call, *args):
    """Runs a thread's work, and keeps what the thread knows of itself."""
    started, first = truth.now(), truth.cpu()
    call(*args)
    lives[truth.tid()] = {"elapsed": truth.now() - started, "cpu": truth.cpu() - first,
                          "function": call.__name__, "blocks": truth.blocks()}


def main():
    warnings.simplefilter("ignore")  # fork beside threads
    options = truth.arguments()
    calls, keep, server_port = threads(options)
    truth.ready(options)
    # Alone: a page fault keeps the interpreter's lock, and all others would wait for it.
    faults = threading.Thread(target=live, args=(fault_loop, make_cold(options.directory)))
    faults.start()
    faults.join()
    workers = [threading.Thread(target=live, args=call) for call in calls]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    keep.close()
    truth.tell(options, waits={name: watch.tell() for name, watch in watches.items()},
               states=STATES, lives=lives, tid=truth.tid(), main_cpu=truth.cpu(),
               server="127.0.0.1:%d" % server_port)


if __name__ == "__main__":
    main()
