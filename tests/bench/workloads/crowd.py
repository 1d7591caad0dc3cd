# SPDX-License-Identifier: BSD-2-Clause
"""A crowd: PROCESSES forked processes of THREADS threads each, nearly all idle (`many`), or RATE
forks a second for SECONDS, each of which ends at once (`forks`). Prints "ready", and the pids."""
import json
import os
import sys
import threading
import time


def idle(threads, busy):
    event = threading.Event()
    for _ in range(threads - 1):
        threading.Thread(target=event.wait, daemon=True).start()
    while busy:
        end = time.process_time() + 0.005
        while time.process_time() < end:
            sum(range(100))
        time.sleep(0.1)
    event.wait()


def many(processes, threads):
    pids = []
    for number in range(processes):
        pid = os.fork()
        if not pid:
            idle(threads, number % 50 == 0)
        pids.append(pid)
    time.sleep(1)
    print("ready", flush=True)
    print(json.dumps(pids), flush=True)
    sys.stdin.read()
    for pid in pids:
        os.kill(pid, 9)


def forks(rate, seconds):
    print("ready", flush=True)
    start, count = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        while count > rate * (time.monotonic() - start):
            time.sleep(0.0005)
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)
        count += 1
    print(json.dumps({"forks": count, "seconds": time.monotonic() - start}), flush=True)


if __name__ == "__main__":
    {"many": many, "forks": forks}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
