# SPDX-License-Identifier: BSD-2-Clause
"""A Flask application whose view asks a backend over a socket, and times itself."""
import json
import os
import socket

import flask

import truth

app = flask.Flask(__name__)
watches = {"ask_backend": truth.Stopwatch(), "render": truth.Stopwatch()}
connection = None


def ask_backend(question):
    connection.sendall(question)
    return connection.recv(64)


def render(rows):
    """Burns some CPU, as a template does."""
    squares = [[i * i for i in range(2000)] for _ in range(rows)]
    return json.dumps(squares)


@app.route("/orders")
def list_orders():
    global connection
    if connection is None:
        connection = socket.create_connection(("127.0.0.1", int(os.environ["BACKEND_PORT"])))
    for _ in range(2):
        with watches["ask_backend"]:
            ask_backend(b"?")
    with watches["render"]:
        return render(5)


@app.route("/truth")
def tell():
    return {"pid": os.getpid(), "tid": truth.tid(),
            "watches": {name: watch.tell() for name, watch in watches.items()}}
