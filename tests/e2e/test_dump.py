# SPDX-License-Identifier: BSD-2-Clause
"""`pyebpf dump`: stacks, states, lengths, holders and deadlocks of targets that are left alone."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

import harness

# What there is between a thread's reading of its clock and its wait, and in the scheduler's clocks
# between two ticks; on a machine that others use too.
LENGTH_SLACK = 0.15
DEADLOCKS = ["mutex", "recursive_mutex", "three_mutexes", "rlock", "three_rlocks", "statements",
             "mixed"]
KINDS = {"mutex": {"C mutex"}, "recursive_mutex": {"C mutex"}, "three_mutexes": {"C mutex"},
         "rlock": {"RLock"}, "three_rlocks": {"RLock"}, "statements": {"RLock"},
         "mixed": {"C mutex", "RLock"}, "own": {"C mutex"}, "mutex_chain": {"C mutex"},
         "rlock_chain": {"RLock"}, "timed": {"RLock"}}


def dump(pid, *options):
    done = harness.run("dump", "--json", "-p", pid, *options)
    assert done.returncode == 0, done.stderr
    processes = json.loads(done.stdout)["processes"]
    return processes[0]


def by_tid(process):
    assert len({each["tid"] for each in process["threads"]}) == len(process["threads"])
    return {each["tid"]: each for each in process["threads"]}


def task_ids(pid):
    return {int(name) for name in os.listdir("/proc/%d/task" % pid)}


def status(pid, tid, *names):
    """Fields of a thread's status, as text."""
    with open("/proc/%d/task/%d/status" % (pid, tid)) as file:
        fields = dict(line.split(":", 1) for line in file)
    return {name: fields[name].strip() for name in names}


def executable_pages(pid):
    """The target's own copies of pages with instructions: a probe or a debugger makes one."""
    pages, executable = 0, False
    with open("/proc/%d/smaps" % pid) as file:
        for line in file:
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                executable = "x" in words[1]
            elif executable and words[0] == "Anonymous:":
                pages += int(words[1])
    return pages


class Looks:
    """Dumps of a workload with waiting and spinning threads, taken one after another."""

    def __init__(self, interpreter):
        with harness.Workload(interpreter.command("still.py", "--spin", "2")) as workload:
            self.pid = workload.pid
            self.waits = json.loads(workload.line())
            self.tids = task_ids(self.pid)
            self.before = self.marks()
            self.started = time.monotonic()
            self.plain = dump(self.pid)
            self.ended = time.monotonic()
            self.after = self.marks()
            self.more = [dump(self.pid) for _ in range(3)]
            self.native = dump(self.pid, "-n")
            self.text = harness.run("dump", "-p", self.pid).stdout
            self.stop()
            workload.stop()

    def marks(self):
        """What would change if a waiting thread were stopped, woken or written to."""
        threads = {name: status(self.pid, wait["tid"], "voluntary_ctxt_switches",
                                "nonvoluntary_ctxt_switches", "TracerPid", "SigPnd", "ShdPnd")
                   for name, wait in self.waits.items()}
        return threads, executable_pages(self.pid)

    def stop(self):
        os.kill(self.pid, signal.SIGSTOP)
        harness.wait_for(lambda: all(
            status(self.pid, tid, "State")["State"].startswith("T") for tid in self.tids), "stop")
        self.stopped = dump(self.pid)
        self.states = {status(self.pid, tid, "State")["State"] for tid in self.tids}
        os.kill(self.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def all_looks():
    return {}


@pytest.fixture
def looks(interpreter, all_looks):
    if interpreter.name not in all_looks:
        all_looks[interpreter.name] = Looks(interpreter)
    return all_looks[interpreter.name]


def names(thread):
    return [frame["function"].split(".")[-1] for frame in thread["frames"]]


def test_every_thread_is_there_with_its_stack(looks):
    for process in (looks.plain, looks.native, looks.stopped, *looks.more):
        threads = by_tid(process)
        assert set(threads) == looks.tids
        assert all(each["read"] for each in threads.values())
        assert process["threads"][0]["tid"] == looks.pid, "the first thread comes first"
        for name, wait in looks.waits.items():
            assert name in names(threads[wait["tid"]])


def test_waiting_threads_are_where_they_are(looks):
    threads = by_tid(looks.plain)
    for name, wait in looks.waits.items():
        thread = threads[wait["tid"]]
        assert thread["name"] == name
        assert thread["state"] == wait["state"]
        assert thread.get("target") == wait.get("target")
        assert not thread["active"] and not thread["holds_gil"]
        assert name in names(thread)
        frame = next(each for each in thread["frames"] if each["function"] == name)
        assert frame["line"] == wait["line"]
        assert os.path.basename(frame["file"]) == "still.py"
        assert {each["kind"] for each in thread["frames"]} == {"python"}
        assert names(thread)[-3:] == ["run", "_bootstrap_inner", "_bootstrap"]
    recursion = names(threads[looks.waits["in_recursion"]["tid"]])
    assert recursion[0] == "in_sleep" and recursion.count("deep") == 501


def test_lengths_are_those_of_the_waits(looks):
    threads = by_tid(looks.plain)
    for name, wait in looks.waits.items():
        seconds = threads[wait["tid"]]["seconds"]
        assert looks.started - wait["since"] - LENGTH_SLACK <= seconds, name
        assert seconds <= looks.ended - wait["since"] + LENGTH_SLACK, name


def test_the_holder_of_the_gil_is_marked(looks):
    marked = 0
    for process in (looks.plain, looks.native, *looks.more):
        threads = by_tid(process)
        waits = {wait["tid"] for wait in looks.waits.values()}
        holders = [each for each in process["threads"] if each["holds_gil"]]
        assert len(holders) <= 1
        marked += len(holders)
        for holder in holders:
            assert holder["tid"] not in waits and holder["state"] != "gil"
        for thread in threads.values():
            if thread["state"] == "gil":
                assert thread["tid"] not in waits
                assert thread.get("held_by") in [None] + [each["tid"] for each in holders]
    assert marked >= 3, "two threads spin: nearly always one of them has it"


def test_native_frames_lie_between(looks):
    threads = by_tid(looks.native)
    for name, wait in looks.waits.items():
        kinds = [frame["kind"] for frame in threads[wait["tid"]]["frames"]]
        assert {"python", "native", "kernel"} <= set(kinds), name
        assert kinds[0] == "kernel"
        # Up to 3.10 each call is some native frames: of 500 the outer ones are cut.
        assert kinds[-1] == "native" or name == "in_recursion" and kinds.count("python") > 500
    child = threads[looks.waits["in_child"]["tid"]]
    assert any(re.search("wait4|waitpid", frame["function"]) for frame in child["frames"]
               if frame["kind"] != "python")


def test_the_target_is_left_alone(looks):
    assert looks.after == looks.before
    for thread in looks.after[0].values():
        assert thread["TracerPid"] == "0"


def test_a_stopped_target_stays_stopped(looks):
    assert len(looks.states) == 1 and looks.states.pop().startswith("T")
    assert {each["state"] for each in looks.stopped["threads"]} <= {"stopped"}
    plain = by_tid(looks.plain)
    for tid in [wait["tid"] for wait in looks.waits.values()]:
        assert by_tid(looks.stopped)[tid]["frames"] == plain[tid]["frames"]


def test_the_text_has_py_spys_layout(looks):
    lines = looks.text.splitlines()
    assert lines[0].startswith("Process %d: still.py" % looks.pid)
    assert re.match(r"Python v3\.\d+\.\S+ \(/.*\)$", lines[1]) and lines[2] == ""
    head = re.compile(r"Thread (\d+) \((?:active|idle)(?:\+gil)?\): \"(.*)\"  \S.*$")
    frame = re.compile(r"    \S.* \(\S+:\d+\)$")
    assert all(head.match(line) or frame.match(line) for line in lines[3:])
    assert {int(head.match(line).group(1)) for line in lines[3:] if head.match(line)} == looks.tids
    wait = looks.waits["in_socket"]
    at = next(i for i, line in enumerate(lines) if line.startswith("Thread %d " % wait["tid"]))
    assert re.search(r"socket 127\.0\.0\.1:\d+, \d+\.\d s$", lines[at])
    assert lines[at + 1] == "    in_socket (still.py:%d)" % wait["line"]


def start_locks(interpreter, *scenes):
    workload = harness.Workload(interpreter.command("locks.py", *scenes))
    waits = json.loads(workload.line())
    return workload, {scene: {int(one): other for one, other in edges.items()}
                      for scene, edges in waits.items()}


def cycles(process):
    """Each deadlock as {tid: tid of the holder}."""
    return [{each["tid"]: each["held_by"] for each in cycle} for cycle in process["deadlocks"]]


def wait_blocked(pid, waits):
    """The threads come to wait a moment after they have said for what."""
    def settled():
        threads = by_tid(dump(pid))
        return all(threads[tid].get("seconds", 0) > 0.2 or threads[tid]["state"] == "gil"
                   for edges in waits.values() for tid in edges)

    harness.wait_for(settled, "the threads to wait")


def check_holders(process, waits, scene):
    threads = by_tid(process)
    for tid, holder in waits[scene].items():
        assert threads[tid].get("held_by") == holder, (scene, threads[tid])
    assert {threads[tid]["lock"] for tid in waits[scene]} == KINDS[scene]


def test_deadlocks_are_named(interpreter):
    others = ["own", "lock", "mutex_chain", "rlock_chain", "timed"]
    workload, waits = start_locks(interpreter, *DEADLOCKS, *others)
    with workload:
        wait_blocked(workload.pid, waits)
        process = dump(workload.pid)
        text = harness.run("dump", "-p", workload.pid).stdout
    found = cycles(process)
    for scene in DEADLOCKS + ["own"]:
        assert found.count(waits[scene]) == 1, (scene, found)
        check_holders(process, waits, scene)
    assert len(found) == len(DEADLOCKS) + 1, "a chain, a wait with a time-out are no deadlocks"
    for scene in ("mutex_chain", "rlock_chain", "timed"):
        check_holders(process, waits, scene)
    for tid in waits["lock"]:
        assert "held_by" not in by_tid(process)[tid], "a threading.Lock does not know its holder"
    assert text.count("Deadlock: these threads wait for each other.") == len(DEADLOCKS)
    assert text.count("Deadlock: a thread waits for itself.") == 1


def test_a_deadlock_of_the_gil_and_a_mutex_is_named(interpreter):
    workload, waits = start_locks(interpreter, "gil")
    with workload:
        process = harness.wait_for(lambda: (lambda each: each["deadlocks"] and each)(
            dump(workload.pid)), "the deadlock")
    assert cycles(process) == [waits["gil"]]
    threads = by_tid(process)
    owner = next(each for each in threads.values() if each["holds_gil"])
    assert owner["state"] == "lock" and owner["lock"] == "C mutex"
    waiter = threads[owner["held_by"]]
    assert waiter["state"] == "gil" and waiter["lock"] == "GIL"


def children_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return [int(each) for each in file.read().split()]


def inner_id(pid, tid):
    return int(status(pid, tid, "NSpid")["NSpid"].split()[-1])


def test_deadlocks_in_another_pid_and_mount_namespace(core_interpreter):
    command = ["unshare", "--pid", "--mount", "--fork",
               *core_interpreter.command("locks.py", "mutex", "rlock")]
    workload = harness.Workload(command)
    with workload:
        waits = {int(one): other for edges in json.loads(workload.line()).values()
                 for one, other in edges.items()}
        pid = harness.wait_for(lambda: children_of(workload.pid), "the child")[0]
        try:
            process = harness.wait_for(lambda: (
                lambda each: len(each["deadlocks"]) == 2 and each)(dump(pid)), "the deadlocks")
            inner = {tid: inner_id(pid, tid) for tid in task_ids(pid)}
        finally:
            os.kill(pid, signal.SIGKILL)
    assert process["pid"] == pid != inner[pid]
    found = {inner[one]: inner[other] for cycle in cycles(process)
             for one, other in cycle.items()}
    assert found == waits


def test_a_thousand_threads(python):
    with harness.Workload(python.command("still.py", "--nap", "1000", "--spin", "1")) as workload:
        json.loads(workload.line())
        process = dump(workload.pid)
        tids = task_ids(workload.pid)
        workload.stop()
    threads = by_tid(process)
    assert set(threads) == tids and len(threads) > 1000
    assert all(each["read"] and each["frames"] for each in threads.values())
    assert sum("nap" in names(each) for each in threads.values()) == 1000


def test_several_processes(python):
    with harness.Workload(python.command("still.py")) as one:
        with harness.Workload(python.command("still.py")) as other:
            json.loads(one.line()), json.loads(other.line())
            done = harness.run("dump", "--json", "-p", one.pid, "-p", other.pid, "-p", one.pid)
            tids = [task_ids(one.pid), task_ids(other.pid)]
            text = harness.run("dump", "-p", one.pid, "-p", other.pid).stdout
            other.stop()
        one.stop()
    processes = json.loads(done.stdout)["processes"]
    assert [each["pid"] for each in processes] == [one.pid, other.pid]
    assert [set(by_tid(each)) for each in processes] == tids
    assert len(re.findall("^Process ", text, re.M)) == 2


def refused(*arguments, status=1):
    done = harness.run("dump", *arguments)
    assert done.returncode == status and not done.stdout
    return done.stderr


def test_bad_targets_are_refused_with_a_reason(python):
    assert "no process 4194304" in refused("-p", 4194304)
    assert "kernel thread" in refused("-p", 2)
    assert "which process?" in refused(status=2)
    assert "what is `x`?" in refused("-p", 1, "x", status=2)
    assert "the process id" in refused("-p", "x", status=2)
    with subprocess.Popen(["sleep", "100"]) as sleep:
        assert "CPython" in refused("-p", sleep.pid)
        sleep.kill()
        harness.wait_for(lambda: open("/proc/%d/stat" % sleep.pid).read().split()[2] == "Z", "end")
        assert "has ended" in refused("-p", sleep.pid)
    with harness.Workload(python.command("still.py")) as workload:
        waits = json.loads(workload.line())
        assert "is a thread of process" in refused("-p", waits["in_lock"]["tid"])
        workload.stop()


def test_no_rights_are_named(python, nobody):
    done = subprocess.run(nobody("dump", "-p", os.getpid()), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and not done.stdout
    assert "CAP_" in done.stderr
