# SPDX-License-Identifier: BSD-2-Clause
"""Functions, threads and a process with names that no terminal and no reader must be given raw."""
import ctypes
import sys
import threading
import time

NAMES = ["\x1b]0;owned\x07\x1b[2J\x1b[31mred", "line\nfeed\r\t\x08", "nul\x00behind", "\x9b31mc1",
         "\ud800\udfff\udc80", "\u202ereversed\u2066", "\U0010ffff\ufffe", "bell\x07" * 300, "",
         "\x1b" * 5000, "a;b c:d\u2028e", "\u0301" * 400, "=cmd|' /C calc'!A0", "<b>&quot;</b>"]
CODE = """
def work(seconds):
    end = now() + seconds
    while now() < end:
        for _ in range(1000):
            pass
"""


def make(name):
    names = {"now": time.thread_time}
    exec(compile(CODE, "/odd/%s.py" % name.replace("\0", "\x1b"), "exec"), names)
    work = names["work"]
    changes = {"co_name": name, "co_filename": "/odd/%s.py" % name}
    if hasattr(work.__code__, "co_qualname"):
        changes["co_qualname"] = name
    try:
        work.__code__ = work.__code__.replace(**changes)
    except ValueError:  # an interpreter that does not take such a name
        pass
    return work


def nap():
    ctypes.CDLL(None).prctl(15, b"\x1b[2J\n\xff\x9b1m\x07t", 0, 0, 0)
    while True:
        time.sleep(0.01)


threading.Thread(target=nap, daemon=True).start()
functions = [make(name) for name in NAMES]
print("ready", flush=True)
while True:
    for function in functions:
        function(float(sys.argv[1]))
