# SPDX-License-Identifier: BSD-2-Clause
"""Pools of processes. From SIGUSR1 on a pool is made by --method; each of its workers burns CPU for
some tasks and, as it ends, leaves a file with its own clock, which began with the process."""
import concurrent.futures
import functools
import multiprocessing
import multiprocessing.util
import os
import signal
import time

import family
import truth

WORKERS = 3
TASKS = 24
burned = 0.0


def end(directory):
    """Before all else that is done at a worker's end; and then there is nothing else to do."""
    family.leave(directory, {"pid": os.getpid(), "cpu": time.process_time(), "burned": burned})
    os._exit(0)


def begin(directory):
    multiprocessing.util.Finalize(None, functools.partial(end, directory), exitpriority=1000)


def task(number):
    global burned
    burned += family.burn(0.03)
    return number


def run_pool(method, directory):
    with multiprocessing.get_context(method).Pool(WORKERS, begin, (directory,)) as pool:
        pool.map(task, range(TASKS), chunksize=1)
        pool.close()
        pool.join()


def run_executor(method, directory):
    with concurrent.futures.ProcessPoolExecutor(
            WORKERS, multiprocessing.get_context(method), begin, (directory,)) as executor:
        list(executor.map(task, range(TASKS)))


def run_processes(method, directory):
    """One after another, of a task each: they come and go."""
    for number in range(TASKS // 3):
        process = multiprocessing.get_context(method).Process(target=run_one, args=(directory,))
        process.start()
        process.join()


def run_one(directory):
    task(0)
    end(directory)


def add_arguments(parser):
    parser.add_argument("--method", choices=["fork", "spawn", "forkserver"])
    parser.add_argument("--way", choices=["pool", "executor", "processes"])


def main():
    options = truth.arguments(add_arguments)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    truth.ready(options)
    signal.sigwait({signal.SIGUSR1})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a pool's way to end its workers
    started = time.process_time()
    {"pool": run_pool, "executor": run_executor, "processes": run_processes}[options.way](
        options.method, options.directory)
    truth.tell(options, cpu=time.process_time() - started)


if __name__ == "__main__":
    main()
