# SPDX-License-Identifier: BSD-2-Clause
"""Three interpreters in one process, each with a lock of its own that two of its threads want.

A last thread, the visitor, works in the main interpreter and in the first of the others by turns.
What each interpreter's threads did is told in files, for they share nothing else. From 3.12 on.
"""
import glob
import json
import os
import sys
import textwrap
import threading

import truth

try:
    import _interpreters  # 3.13
except ImportError:
    import _xxsubinterpreters as _interpreters

INSIDE = textwrap.dedent("""
    import json, os, threading, time
    DIRECTORY, END = "@DIRECTORY@", @END@
    lives = {}


    def burn_first_@NAME@(n):
        total = 0
        for i in range(n):
            total += i & 3
        return total


    def burn_second_@NAME@(n):
        total = 0
        for i in range(n):
            total += i & 3
        return total


    def visit_@NAME@():
        end, total = time.monotonic() + 0.004, 0
        while time.monotonic() < end:
            for i in range(2000):
                total += i & 3


    def work_first_@NAME@():
        while time.monotonic() < END:
            burn_first_@NAME@(3000)


    def work_second_@NAME@():
        while time.monotonic() < END:
            burn_second_@NAME@(3000)


    def live(call):
        call()
        lives[threading.get_native_id()] = "@NAME@"


    threads = [threading.Thread(target=live, args=(call,))
               for call in (work_first_@NAME@, work_second_@NAME@)]


    def start():
        for thread in threads:
            thread.start()


    def finish():
        for thread in threads:
            thread.join()
        with open(os.path.join(DIRECTORY, "lives-@NAME@"), "w") as file:
            json.dump(lives, file)
""")


def inside(name, options, end):
    """The code that an interpreter runs, with functions whose names say whose they are."""
    return (INSIDE.replace("@NAME@", name).replace("@DIRECTORY@", options.directory)
            .replace("@END@", repr(end)))


def create():
    if hasattr(_interpreters, "exec"):
        return _interpreters.create()
    return _interpreters.create(isolated=True)


def execute(interpreter, code):
    """Fails if the code does: it does not raise here."""
    failure = getattr(_interpreters, "exec", _interpreters.run_string)(interpreter, code)
    assert failure is None, failure


def visit_often(interpreter, main, end):
    while truth.now() < end:
        execute(interpreter, "visit_a()")
        main["visit_main"]()


def main():
    options = truth.arguments()
    truth.ready(options)
    truth.recorded.wait()
    end = truth.now() + 2.5
    scope = {}
    exec(inside("main", options, end), scope)
    others = [create() for _ in range(2)]
    for name, other in zip("ab", others):
        execute(other, inside(name, options, end))
        execute(other, "start()")
    scope["start"]()
    visits = {}

    def visitor():
        visits["tid"] = truth.tid()
        visit_often(others[0], scope, end)

    thread = threading.Thread(target=visitor)
    thread.start()
    thread.join()
    for other in others:
        execute(other, "finish()")
    scope["finish"]()
    lives = {}
    for path in glob.glob(os.path.join(options.directory, "lives-*")):
        with open(path) as file:
            lives.update(json.load(file))
    truth.stopping.wait()
    truth.tell(options, lives=lives, visitor=visits["tid"])
    sys.stdout.flush()
    os._exit(0)  # the end of interpreters is not what is tested


if __name__ == "__main__":
    main()
