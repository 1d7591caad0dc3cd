# SPDX-License-Identifier: BSD-2-Clause
"""`pyebpf dump` of threads in collections, in C with and without the GIL, in generators, stopped by
a tracer, and of processes whose first thread has ended. test_dump.py has the plain waits."""
import contextlib
import ctypes
import json
import os
import signal
import subprocess

import pytest

import harness
import slow_files
from test_dump import by_tid, dump, names, wait_blocked

BOTTOM = ["run", "run", "_bootstrap_inner", "_bootstrap"]
STACKS = {"in_collection": [["in_collection"]], "in_hash": [["in_hash"]],
          "in_generator": [["generated", "delegating", "in_generator"]],
          "in_spin": [["spin_inside", "in_spin"]]}
DUMPS = 5
PTRACE_ATTACH, PTRACE_DETACH, WAIT_ALL = 16, 17, 0x40000000


@contextlib.contextmanager
def started(interpreter, *arguments):
    with harness.Workload(interpreter.command("odd.py", *arguments)) as workload:
        yield workload, json.loads(workload.line())


def only(process, tid):
    return by_tid(process)[tid]


def test_stacks_of_threads_that_run_are_real(interpreter):
    """Each time it is one that the thread can have, and the thread that collects has the GIL."""
    held = 0
    with started(interpreter, "in_collection", "in_hash", "in_generator") as (workload, tids):
        for _ in range(DUMPS):
            process = dump(workload.pid)
            for name, tid in tids.items():
                thread = only(process, tid)
                assert thread["read"], name
                assert names(thread) in [stack + BOTTOM for stack in STACKS[name]]
            assert only(process, tids["in_generator"])["state"] == "sleep"
            assert not only(process, tids["in_hash"])["holds_gil"] or \
                only(process, tids["in_collection"])["state"] == "gil"
            held += only(process, tids["in_collection"])["holds_gil"]
        native = dump(workload.pid, "-n")
    # Where the GIL went from one to the other while the threads were looked at, nobody is marked.
    assert held
    kinds = [frame["kind"] for frame in only(native, tids["in_hash"])["frames"]]
    assert "native" in kinds[:kinds.index("python")], "C is inside of in_hash"


def test_a_thread_that_spins(interpreter):
    with started(interpreter, "in_spin") as (workload, tids):
        for _ in range(DUMPS):
            thread = only(dump(workload.pid), tids["in_spin"])
            assert names(thread) == STACKS["in_spin"][0] + BOTTOM
            assert thread["state"] in ("running", "runqueue") and thread["active"]
            assert thread["holds_gil"]


def test_c_code_that_waits_with_the_gil(interpreter):
    with started(interpreter, "in_spin", "in_c_with_the_gil") as (workload, tids):
        pid, waiter = workload.pid, tids["in_spin"]
        process = harness.wait_for(lambda: (lambda each: only(each, pid)["state"] == "sleep" and
                                            only(each, waiter)["state"] == "gil" and each)(
                                                dump(pid)), "the wait")
        text = harness.run("dump", "-p", pid).stdout
    holder = only(process, pid)
    assert holder["holds_gil"] and not holder["active"]
    assert names(holder)[:2] == ["in_c_with_the_gil", "main"]
    assert only(process, waiter)["held_by"] == pid
    assert process["deadlocks"] == []
    assert "Thread %d (idle+gil)" % pid in text
    assert "gil held by %d" % pid in text


def test_a_process_whose_first_thread_has_ended(interpreter):
    with started(interpreter, "in_spin", "in_generator", "--leave") as (workload, tids):
        pid = workload.pid
        harness.wait_for(lambda: open("/proc/%d/stat" % pid).read().split()[2] == "Z", "the end")
        process = dump(pid)
        top = harness.run("top", "-b", "-c", "1", "-i", "0.3", "-p", pid)
    assert set(by_tid(process)) == set(tids.values())
    assert process["pid"] == pid and process["command"] == "odd.py"
    for name, tid in tids.items():
        assert names(only(process, tid)) == STACKS[name][0] + BOTTOM
    assert top.returncode == 0 and "spin_inside" in top.stdout
    assert "no Python frame" not in top.stdout, "the first thread is no more"


@contextlib.contextmanager
def traced(tid):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    assert libc.ptrace(PTRACE_ATTACH, tid, None, None) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(tid, WAIT_ALL)
    try:
        yield
    finally:
        libc.ptrace(PTRACE_DETACH, tid, None, None)


def test_a_thread_that_a_tracer_has_stopped(core_interpreter):
    with started(core_interpreter, "in_spin", "in_generator") as (workload, tids):
        for name in ("in_generator", "in_spin"):
            with traced(tids[name]):
                process = dump(workload.pid)
            thread = only(process, tids[name])
            assert thread["state"] == "stopped" and not thread["active"]
            assert names(thread) == STACKS[name][0] + BOTTOM
            assert {each["state"] for tid, each in by_tid(process).items()
                    if tid != tids[name]} & {"sleep"}


def test_a_read_of_a_slow_file(python):
    """Most of the time it waits for the file, and then it is named."""
    outside, inside = python.share("dump-files")
    seen = []
    with slow_files.SlowFiles(outside):
        code = "print('ready', flush=True)\nfile = open(%r, 'rb', 0)\n" \
               "while True: file.seek(0); file.read(4096)" % (inside + "/the_file")
        with harness.Workload([python.find(), "-B", "-c", code]) as workload:
            harness.wait_for(lambda: seen.append(dump(workload.pid)["threads"][0]) or
                             seen[-1]["state"] == "file", "a read")
            text = harness.wait_for(lambda: (lambda each: "the_file" in each and each)(
                harness.run("dump", "-p", workload.pid).stdout), "a read")
    assert seen[-1]["target"] == outside + "/the_file"
    assert 0 <= seen[-1]["seconds"] <= 1
    assert "file %s/the_file, " % outside in text, "the state is told even where the name ends so"


def test_a_lock_whose_holder_has_ended(interpreter):
    """Nobody holds it, and nothing is proven."""
    scenes = ["left_mutex", "left_rlock"]
    with harness.Workload(interpreter.command("locks.py", *scenes)) as workload:
        waits = {scene: {int(tid): None for tid in edges}
                 for scene, edges in json.loads(workload.line()).items()}
        wait_blocked(workload.pid, waits)
        process = dump(workload.pid)
    assert process["deadlocks"] == []
    for edges in waits.values():
        for tid in edges:
            thread = only(process, tid)
            assert thread["state"] == "lock" and "held_by" not in thread, thread


def test_a_pipe_that_nobody_reads(python):
    """As of `pyebpf dump | head -1`."""
    with harness.Workload(python.command("still.py")) as workload:
        done = subprocess.run("%s dump -p %d | head -1" % (harness.PYEBPF, workload.pid),
                              shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        workload.process.send_signal(signal.SIGTERM)
        workload.process.wait(10)
    assert done.stdout.startswith("Process %d" % workload.pid) and "error" not in done.stderr
