# SPDX-License-Identifier: BSD-2-Clause
"""A crowd: PROCESSES forked processes of THREADS threads each, nearly all idle (`many`), or RATE
forks a second for SECONDS, each of which ends at once (`forks`). Prints "ready", waits for a line
where it forks, and prints the pids or the number of forks."""
import json
import os
import sys
import threading
import time

FORKERS = 4


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


def fork_all(rate, seconds):
    """Forks at that rate, and returns how often."""
    start, count = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        while count > rate * (time.monotonic() - start):
            time.sleep(0.0005)
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)
        count += 1
    return count


def forker(rate, seconds, go, result):
    """One of those that share the work: a fork of this interpreter takes 1 to 2 ms."""
    pid = os.fork()
    if pid:
        return pid
    os.read(go, 1)
    os.write(result, b"%d\n" % fork_all(rate, seconds))
    os._exit(0)


def forks(rate, seconds):
    go, result = os.pipe(), os.pipe()
    for _ in range(FORKERS):
        forker(rate / FORKERS, seconds, go[0], result[1])
    os.close(result[1])
    print("ready", flush=True)
    sys.stdin.readline()
    os.write(go[1], bytes(FORKERS))
    with open(result[0]) as results:
        counts = [int(line) for line in results]
    print(json.dumps({"forks": sum(counts), "forkers": FORKERS, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    {"many": many, "forks": forks}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
