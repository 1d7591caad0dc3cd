# SPDX-License-Identifier: BSD-2-Clause
"""Burns for a second, then turns into another program: execs.py PROGRAM ARGUMENT…"""
import os
import sys
import time


def burn_before(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


print("ready", flush=True)
burn_before(1.0)
os.execvp(sys.argv[1], sys.argv[1:])
