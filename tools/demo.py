# SPDX-License-Identifier: BSD-2-Clause
"""The demo's workload: a small web shop, its database and its customers, of the standard library.

Owns a program whose report is instructive: one view talks to the database once for each row of a
list, one burns CPU, orders are written to a file and synced, the stock is behind a lock, two report
threads compete for the interpreter, and a clock thread sleeps. The database and the customers are
processes of their own, so that the report is about the shop alone.
"""
import argparse
import http.client
import json
import os
import random
import signal
import socket
import socketserver
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

QUERY_SECONDS = 0.0015  # what the database takes for one


class DatabaseHandler(socketserver.BaseRequestHandler):
    """Answers each line with one, after QUERY_SECONDS."""

    def handle(self):
        with self.request.makefile("rwb", buffering=0) as stream:
            for line in stream:
                time.sleep(QUERY_SECONDS)
                stream.write(b'{"id": %d, "price": %d}\n' % (len(line), random.randrange(100)))


class Database(socketserver.ThreadingTCPServer):
    daemon_threads = True


class Connection:
    """The shop's way to its database: one socket for each thread."""

    def __init__(self, address):
        self.stream = socket.create_connection(address).makefile("rwb", buffering=0)

    def query(self, text):
        self.stream.write(text.encode() + b"\n")
        return json.loads(self.stream.readline())


class Stock:
    """Counted under a lock, which is kept while the supplier is asked: too long."""

    def __init__(self):
        self.lock = threading.Lock()
        self.count = 0

    def reserve(self, connection):
        with self.lock:
            for supplier in range(4):
                connection.query("SELECT supplier %d" % supplier)
            self.count += 1


class Shop(BaseHTTPRequestHandler):
    """The views. `server` carries what they share."""

    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.database = Connection(self.server.database_address)

    def do_GET(self):
        body = json.dumps({"/orders": self.list_orders, "/buy": self.buy,
                           "/": self.home_page}[self.path]()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def list_orders(self):
        """The classic mistake: a query for each order of the list."""
        return [self.load_order(number) for number in range(12)]

    def load_order(self, number):
        return self.database.query("SELECT order %d" % number)

    def buy(self):
        self.server.stock.reserve(self.database)
        self.write_order()
        return "bought"

    def write_order(self):
        """An order must survive a power cut: synced to the disk."""
        with open(os.path.join(self.server.directory, "orders"), "ab") as file:
            file.write(b"order\n" * 100)
            file.flush()
            os.fsync(file.fileno())

    def home_page(self):
        return render_page(recommend(300))

    def log_message(self, *_):
        pass


def recommend(count):
    """Burns CPU in Python: scores products against each other."""
    scores = [0] * count
    for i in range(count):
        for j in range(i % 17):
            scores[i] += (i * j) % 7
    return sorted(range(count), key=scores.__getitem__)


def render_page(products):
    """Burns CPU in C: the json encoder."""
    return json.dumps([{"product": product, "tags": list(range(20))} for product in products])


def sales_report():
    """What a background thread computes from time to time: it takes the interpreter's lock."""
    total = 0
    for i in range(400000):
        total += i % 7
    return total


def report_loop():
    while True:
        sales_report()
        time.sleep(0.05)


def refresh_prices():
    while True:
        time.sleep(0.5)


def serve(directory, database_address):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    server.daemon_threads = True
    server.directory, server.database_address = directory, database_address
    server.stock = Stock()
    for target, name in ((report_loop, "report-1"), (report_loop, "report-2"),
                         (refresh_prices, "prices"), (server.serve_forever, "http")):
        threading.Thread(target=target, name=name, daemon=True).start()
    return server.server_address


def customer(address, paths):
    """Asks for pages for ever over one connection, with a pause to read each."""
    connection = http.client.HTTPConnection(*address)
    while True:
        for path in paths:
            connection.request("GET", path)
            connection.getresponse().read()
            time.sleep(0.005)


def customers(address):
    for paths in (["/orders"], ["/orders", "/"], ["/buy"], ["/buy"], ["/buy", "/"]):
        threading.Thread(target=customer, args=(address, paths), daemon=True).start()
    signal.pause()


def start(call, *arguments):
    """Runs call(*arguments) in a process of its own that ends with this one; returns its pid."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    # When the shop is stopped they lose their connections: not a thing to tell anybody.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    call(*arguments)
    os._exit(0)


def end_with(parent):
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", default=".", help="where orders are written")
    options = parser.parse_args()
    database = Database(("127.0.0.1", 0), DatabaseHandler)
    start(database.serve_forever)
    database.socket.close()
    # The customers are forked before there are threads, and told the address once it is known.
    reader, writer = os.pipe()
    start(lambda: customers(tuple(json.loads(os.read(reader, 200)))))
    address = serve(options.directory, database.server_address)
    with urllib.request.urlopen("http://%s:%d/buy" % address) as answer:
        answer.read()
    os.write(writer, json.dumps(address).encode())
    print("http://%s:%d" % address, flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
