# SPDX-License-Identifier: BSD-2-Clause
"""Functions that each wait for one kind of peer, with known delays, and time their own waits.

The peers are a forked process: it answers a request after as many milliseconds as its first byte
says, and is a client itself. Each function's waits go to the targets that TRUTH["targets"] names.
"""
import os
import select
import signal
import socket
import struct
import threading
import time

import truth

DELAYS = (6, 12, 24, 48)  # ms: longer than a period at 199 Hz, and each of another power of two
LONG = 0.0051       # seconds: above a period, so that it must be counted
ROUNDS = 32
CLIENTS = 1000
ADDRESSES = 300
PORTS = 40
waits = {}    # function: seconds of each of its waits
targets = {}  # function: {target: those of at least LONG}


def wait(name, target, call, *arguments):
    """Calls a function that waits for a target, and keeps how long it was blocked."""
    queued, started, burnt = truth.runqueue(), truth.now(), truth.cpu()
    result = call(*arguments)
    away = truth.now() - started - (truth.cpu() - burnt) - (truth.runqueue() - queued)
    waits.setdefault(name, []).append(away)
    counts = targets.setdefault(name, {})
    counts[target] = counts.get(target, 0) + (away >= LONG)
    return result


# The peers' side. -------------------------------------------------------------------------------
def answer(connection):
    with connection:
        while True:
            request = connection.recv(64)
            if not request:
                return
            time.sleep(request[0] / 1000)
            connection.sendall(request)


def serve(listener):
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def answer_datagrams(server):
    while True:
        request, client = server.recvfrom(64)
        time.sleep(request[0] / 1000)
        server.sendto(request, client)


def be_a_client(port):
    """Asks the workload once it listens: at first slowly on one connection, then on many."""
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port))
            break
        except ConnectionRefusedError:
            time.sleep(0.01)
    with connection:
        for turn in range(ROUNDS):
            time.sleep(DELAYS[turn % len(DELAYS)] / 1000)
            connection.sendall(b"?")
            connection.recv(64)
    for _ in range(CLIENTS):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"?")
            connection.recv(64)


def be_the_peers(places, client_port):
    for listener in places["listeners"]:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
    threading.Thread(target=answer_datagrams, args=(places["udp"],), daemon=True).start()
    be_a_client(client_port)
    threading.Event().wait()


# What is recorded. ------------------------------------------------------------------------------
def receive_inet(connection):
    return connection.recv(64)


def receive_inet6(connection):
    return connection.recv(64)


def receive_unix(connection):
    return connection.recv(64)


def receive_abstract(connection):
    return connection.recv(64)


def receive_datagram(connection):
    return connection.recv(64)


def receive_unconnected(connection):
    return connection.recv(64)


def ask(receive, connection, target, to=None):
    for turn in range(ROUNDS):
        request = struct.pack("B", DELAYS[turn % len(DELAYS)])
        if to:
            connection.sendto(request, to)
        else:
            connection.send(request)
        wait(receive.__name__, target, receive, connection)


def receive_address(connection):
    return connection.recv(64)


def ask_addresses(port):
    """Many hosts: each a row of its own."""
    for number in range(ADDRESSES):
        address = "127.0.%d.%d" % (1 + number // 200, 1 + number % 200)
        with socket.create_connection((address, port)) as connection:
            connection.send(b"\6")
            wait("receive_address", "%s:%d" % (address, port), receive_address, connection)


def receive_port(connection):
    return connection.recv(64)


def ask_ports(ports):
    """Many ephemeral ports of one host: one row."""
    for port in ports:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.send(b"\14")
            wait("receive_port", "127.0.0.1:*", receive_port, connection)


def receive_request(connection):
    return connection.recv(64)


def accept_client(listener):
    return listener.accept()[0]


def be_a_server(listener):
    target = ":%d from 127.0.0.1" % listener.getsockname()[1]
    for _ in range(1 + CLIENTS):
        with accept_client(listener) as connection:
            while True:
                request = wait("receive_request", target, receive_request, connection)
                if not request:
                    break
                connection.send(request)


def wait_poll(poller):
    return poller.poll(5000)


def wait_select(sockets):
    return select.select(sockets, [], [], 5)


def wait_epoll(poller):
    return poller.poll(5)


def wait_large(poller):
    return poller.poll(5)


def poll_loop(call, sockets, spare, label):
    """Waits for all at once, while one after the other answers."""
    if call is wait_select:
        poller = sockets + spare
    else:
        poller = select.poll() if call is wait_poll else select.epoll()
        for each in sockets + spare:
            poller.register(each, select.POLLIN)
    for turn in range(ROUNDS):
        asked = sockets[turn % len(sockets)]
        asked.send(struct.pack("B", DELAYS[turn % len(DELAYS)]))
        wait(call.__name__, label % asked.getpeername()[1], call, poller)
        asked.recv(64)


def listen(address, family=socket.AF_INET):
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(1024)
    return listener


def connect(listener, family=socket.AF_INET):
    connection = socket.socket(family)
    connection.connect(listener.getsockname())
    return connection


def loops(places, server):
    inet, other, inet6, path, abstract = places["listeners"][:5]
    udp_port = places["udp"].getsockname()[1]
    asked, unconnected = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
    asked.connect(("127.0.0.1", udp_port))
    quiet = os.pipe()
    spare = [os.pipe()[0] for _ in range(30)]
    pairs = [[connect(inet), connect(other)] for _ in range(4)]
    three = "3 descriptors, ready 127.0.0.1:%d"
    return [
        (ask, receive_inet, connect(inet), "127.0.0.1:%d" % inet.getsockname()[1]),
        (ask, receive_inet6, connect(inet6, socket.AF_INET6),
         "[::1]:%d" % inet6.getsockname()[1]),
        (ask, receive_unix, connect(path, socket.AF_UNIX), path.getsockname()),
        (ask, receive_abstract, connect(abstract, socket.AF_UNIX),
         "@" + abstract.getsockname()[1:].decode()),
        (ask, receive_datagram, asked, "127.0.0.1:%d" % udp_port),
        (ask, receive_unconnected, unconnected, "datagrams", ("127.0.0.1", udp_port)),
        (ask_addresses, places["listeners"][5].getsockname()[1]),
        (ask_ports, [each.getsockname()[1] for each in places["listeners"][6:]]),
        (be_a_server, server),
        (poll_loop, wait_poll, pairs[0], [quiet[0]], three),
        (poll_loop, wait_select, pairs[1], [quiet[0]], three),
        (poll_loop, wait_epoll, pairs[2], [quiet[0]], three),
        (poll_loop, wait_large, pairs[3], spare, "more than 16 descriptors, ready 127.0.0.1:%d"),
    ]


def main():
    options = truth.arguments()
    path = os.path.join(options.directory, "socket")
    places = {
        "listeners": [listen(("127.0.0.1", 0)), listen(("127.0.0.1", 0)),
                      listen(("::1", 0), socket.AF_INET6), listen(path, socket.AF_UNIX),
                      listen("\0pyebpf-%d" % os.getpid(), socket.AF_UNIX),
                      listen(("0.0.0.0", 0))] + [listen(("127.0.0.1", 0)) for _ in range(PORTS)],
        "udp": socket.socket(type=socket.SOCK_DGRAM),
    }
    places["udp"].bind(("127.0.0.1", 0))
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    peers = os.fork()
    if peers == 0:
        be_the_peers(places, server.getsockname()[1])
    try:
        calls = loops(places, server)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        truth.ready(options)
        signal.sigwait({signal.SIGUSR1})
        server.listen(1024)
        workers = [threading.Thread(target=call[0], args=call[1:]) for call in calls]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        os.kill(peers, 9)
        os.waitpid(peers, 0)
    truth.tell(options, waits=waits, targets=targets, clients=CLIENTS,
               server=server.getsockname()[1],
               lines={name: globals()[name].__code__.co_firstlineno for name in waits})


if __name__ == "__main__":
    main()
