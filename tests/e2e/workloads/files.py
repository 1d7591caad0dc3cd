# SPDX-License-Identifier: BSD-2-Clause
"""Waits for files, each kind of file in a function of its own, a known number of times.

--directory is on a file system that answers each read and fsync after a known time. Begins at
SIGUSR1 and ends by itself.
"""
import mmap
import os
import signal

import truth

ROUNDS = 10
PAGE = 4096
LONG = "d" + "irectory" * 12, "d" + "eeper" * 20, "f" + "ile" * 40
watches, targets = {}, {}


def timed(call, *args):
    with watches.setdefault(call.__name__, truth.Stopwatch()):
        return call(*args)


def read_plain(descriptor, at):
    os.pread(descriptor, PAGE, at * PAGE)


def sync_plain(descriptor, at):
    os.fsync(descriptor)


def read_long(descriptor, at):
    os.pread(descriptor, PAGE, at * PAGE)


def read_bytes_name(descriptor, at):
    os.pread(descriptor, PAGE, at * PAGE)


def read_first_twin(descriptor, at):
    os.pread(descriptor, PAGE, at * PAGE)


def read_second_twin(descriptor, at):
    os.pread(descriptor, PAGE, at * PAGE)


def read_renamed(descriptor, at):
    os.pread(descriptor, PAGE, at * PAGE)


def read_deleted(descriptor, at):
    os.pread(descriptor, PAGE, at * PAGE)


def read_briefly(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.pread(descriptor, PAGE, 0)
    os.close(descriptor)


def fault_in(memory, at):
    return memory[at]


def keep_open(call, path, shown=None, after=None):
    """Waits ROUNDS times on a file that stays open until the end."""
    descriptor = os.open(path, os.O_RDWR)
    if after:
        after(path)
    for at in range(ROUNDS):
        timed(call, descriptor, at)
    targets[call.__name__] = os.fsdecode(shown or path)


def rename(path):
    os.rename(path, os.path.join(os.path.dirname(path), "new name"))


def read_all_kinds(top):
    keep_open(read_plain, top + "/file")
    keep_open(sync_plain, top + "/synced")
    keep_open(read_long, os.path.join(top, *LONG))
    keep_open(read_bytes_name, os.fsencode(top) + b"/caf\xe9")
    keep_open(read_first_twin, top + "/d1/twin")
    keep_open(read_second_twin, top + "/d2/twin")
    keep_open(read_renamed, top + "/old", top + "/new name", rename)
    keep_open(read_deleted, top + "/removed", None, os.unlink)


def read_brief(top):
    for at in range(2 * ROUNDS):
        timed(read_briefly, "%s/d%d/brief" % (top, 1 + at % 2))


def fault_cold(top):
    with open(top + "/mapped", "rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    for at in range(ROUNDS):
        timed(fault_in, memory, 16 * at * PAGE)  # the pages around one may be mapped with it


def main():
    options = truth.arguments()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    truth.ready(options)
    signal.sigwait({signal.SIGUSR1})
    read_all_kinds(options.directory)
    read_brief(options.directory)
    fault_cold(options.directory)
    truth.tell(options, waits={name: watch.tell() for name, watch in watches.items()},
               targets=targets, rounds=ROUNDS)


if __name__ == "__main__":
    main()
