# SPDX-License-Identifier: BSD-2-Clause
"""A WSGI application for servers that fork, and gunicorn's settings for it.

/work burns CPU and asks a backend. Every answer is what the process has counted by now, from its
own first moment; a worker of gunicorn leaves the same in a file as the last thing that it does.
"""
import json
import os
import socket
import time

import family
import truth

watch = truth.Stopwatch()
burned = 0.0
connection = None


def ask_backend():
    connection.sendall(b"?")
    return connection.recv(64)


def facts():
    return {"pid": os.getpid(), "cpu": time.process_time(), "burned": burned,
            "ask_backend": watch.tell()}


def handle_work():
    global connection, burned
    if connection is None:
        connection = socket.create_connection(("127.0.0.1", int(os.environ["BACKEND_PORT"])))
    burned += family.burn(0.02)
    with watch:
        ask_backend()


def application(environ, start_response):
    if environ["PATH_INFO"] == "/work":
        handle_work()
    body = json.dumps(facts()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def worker_exit(server, worker):
    """gunicorn's. This file is its configuration, too, but as another module."""
    import prefork
    family.leave(os.environ["FACTS"], prefork.facts())
    os._exit(0)
