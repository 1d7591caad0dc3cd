# SPDX-License-Identifier: BSD-2-Clause
"""Makes memory resident in every way, each in a function of its own, and measures by how much.

Begins at SIGUSR1 and ends by itself. --proc is a descriptor of /proc, which a chroot has not.
"""
import ctypes
import mmap
import os
import resource
import signal
import sys
import threading
import warnings

import truth

MB = 1 << 20
PAGE = 4096
MAP_POPULATE = 0x8000
ADVISE_HUGE, ADVISE_SMALL = 14, 15
measured = {}


class Meter:
    """Own memory that is resident (anonymous or shared), by a walk of the kernel over all pages."""

    def __init__(self, proc):
        self.proc = proc

    def resident(self):
        descriptor = os.open("self/smaps_rollup", os.O_RDONLY, dir_fd=self.proc)
        with open(descriptor) as file:
            return sum(int(line.split()[1]) * 1024 for line in file
                       if line.startswith(("Anonymous:", "Pss_Shmem:")))


def faults():
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt


def timed(meter, call, *args):
    """Calls, and keeps how much memory has grown and how many pages were given to this thread."""
    before, first, started = meter.resident(), faults(), truth.now()
    result = call(*args)
    seconds, given = truth.now() - started, faults() - first
    measured[call.__name__] = {"grown": meter.resident() - before, "faulted": given * PAGE,
                               "seconds": seconds, "first": call.__code__.co_firstlineno}
    return result


def advise(memory, advice):
    """mmap.madvise() is there from 3.8 on only."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    library = ctypes.CDLL(None)
    return library.madvise(ctypes.c_void_p(address), ctypes.c_size_t(len(memory)), advice)


def private(size, flags=0):
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | flags)
    if not flags:
        advise(memory, ADVISE_SMALL)
    return memory


# Pages that are touched one by one. ---------------------------------------------------------------
def touch_pages(memory):
    for at in range(0, len(memory), PAGE):
        memory[at] = 1


def touch_huge(memory):
    for at in range(0, len(memory), PAGE):
        memory[at] = 1


def touch_shared(memory):
    for at in range(0, len(memory), PAGE):
        memory[at] = 1


def read_then_write(memory):
    for at in range(0, len(memory), PAGE):
        memory[at]  # the zero page is nobody's
    for at in range(0, len(memory), PAGE):
        memory[at] = 1


def write_after_fork(memory):
    for at in range(0, len(memory), PAGE):
        memory[at] = 2


def touch_in_thread(memory):
    for at in range(0, len(memory), PAGE):
        memory[at] = 1


def touch_in_other_thread(memory):
    for at in range(0, len(memory), PAGE):
        memory[at] = 1


def odd_runs(memory):
    for at in range(0, len(memory), PAGE):
        memory[at] = 1


def even_runs(memory):
    for at in range(0, len(memory), PAGE):
        memory[at] = 1


# Objects of the interpreter. ----------------------------------------------------------------------
def make_bytearray():
    return bytearray(b"x") * (40 * MB)


def make_lists():
    first = [None] * (3 * MB)
    second = [first] * (6 * MB)
    return first, second


def make_objects():
    items = []
    for at in range(300000):
        items.append((at, at))
    return items


def make_dict():
    items = {}
    for at in range(400000):
        items[at] = None
    return items


def drop_objects(items):
    """Most of them; what stays keeps the allocator from giving its memory back."""
    for at in range(len(items)):
        if at % 16:
            items[at] = None


def make_objects_again(items):
    for at in range(len(items)):
        if at % 16:
            items[at] = (at, at)


def recurse(level):
    """Through C, so that the stack of the machine grows."""
    if level:
        try:
            sorted([level - 1], key=recurse)
        except RecursionError:  # 3.12 allows few levels of C
            pass
    return 0


# The kernel's own page faults, and what needs none. -----------------------------------------------
def populate():
    return private(32 * MB, MAP_POPULATE)


def read_file(file, memory):
    return file.readinto(memory)


def map_file(file):
    memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    for at in range(0, len(memory), PAGE):
        memory[at]
    return memory


def grow_array(numpy):
    return numpy.ones(6 * MB)


def touch_array(array):
    array[:] = 1


def make_file(directory):
    """Is on the disk and not in memory."""
    path = os.path.join(directory, "memory.data")
    with open(path, "wb") as file:
        for _ in range(32):
            file.write(b"x" * MB)
    return path


def open_cold(path):
    file = open(path, "rb", buffering=0)
    os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return file


def fork_and_write(meter, memory):
    child = os.fork()
    if not child:
        signal.pause()
        os._exit(0)
    timed(meter, write_after_fork, memory)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def run_threads():
    """Beside each other: only what each has been given is known, not how the process grew."""
    still = Meter(-1)
    still.resident = lambda: 0
    calls = [(touch_in_thread, private(24 * MB)), (touch_in_other_thread, private(32 * MB))]
    threads = [threading.Thread(target=timed, args=(still,) + call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run_alternately(keep):
    """Two functions in a rhythm that a sampler could fall into."""
    calls = {odd_runs: 0, even_runs: 0}
    for _ in range(128):
        for call in calls:
            memory = private(128 * 1024)
            before = faults()
            call(memory)
            calls[call] += faults() - before
            keep.append(memory)
    for call, given in calls.items():
        measured[call.__name__] = {"faulted": given * PAGE, "grown": 0, "seconds": 0.05,
                                   "first": call.__code__.co_firstlineno}


def run_numpy(meter, keep):
    try:
        import numpy
    except ImportError:
        return
    keep.append(timed(meter, grow_array, numpy))
    array = numpy.zeros(6 * MB)
    timed(meter, touch_array, array)
    keep.append(array)


def run(meter, directory):
    keep, path = [], make_file(directory)
    memory = private(48 * MB)
    timed(meter, touch_pages, memory)
    huge = private(64 * MB)
    advise(huge, ADVISE_HUGE)
    timed(meter, touch_huge, huge)
    timed(meter, touch_shared, mmap.mmap(-1, 32 * MB))
    timed(meter, read_then_write, private(24 * MB))
    keep += [timed(meter, make_bytearray), timed(meter, make_lists), timed(meter, make_dict)]
    objects = timed(meter, make_objects)
    drop_objects(objects)
    timed(meter, make_objects_again, objects)
    timed(meter, recurse, 700)
    keep.append(timed(meter, populate))
    with open_cold(path) as file:
        timed(meter, read_file, file, private(32 * MB))
    with open_cold(path) as file:
        keep.append(timed(meter, map_file, file))
    run_threads()
    run_alternately(keep)
    run_numpy(meter, keep)
    fork_and_write(meter, memory)  # the last: all that is written after it faults once more
    os.unlink(path)


def main():
    warnings.simplefilter("ignore")  # fork beside threads
    options = truth.arguments(lambda parser: parser.add_argument("--proc", type=int))
    sys.setrecursionlimit(5000)
    meter = Meter(options.proc)
    timed(meter, faults)  # what measuring needs is there now
    measured.clear()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    truth.ready(options)
    signal.sigwait({signal.SIGUSR1})
    run(meter, options.directory)
    truth.tell(options, measured=measured)


if __name__ == "__main__":
    main()
