# SPDX-License-Identifier: BSD-2-Clause
"""Which processes a recording is of: cgroups of both versions with what enters and leaves them,
descendants, several processes; and what is said where that makes no sense."""
import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
import time

import pytest

import cgroups
import conftest
import harness
from members import Member, burned, check_absent, check_burned, ledger

RATE = 999
# A cgroup is entered between two questions for the CPU time: what writing and asking takes.
ASKING = 0.02
# Of one that enters with Python, some milliseconds until pyebpf has looked at it: all of them its
# own, if the machine has a CPU for pyebpf at once.
LOOKING = 0.1
ENTERED = 0.6
STARTED = 15  # programs in the scene


def hierarchy_enter(stack, hierarchy):
    try:
        return stack.enter_context(hierarchy)
    except OSError as error:
        conftest.missing("no %s hierarchy: %s" % (hierarchy, error), True)


@pytest.fixture(scope="module", params=[cgroups.VERSION_2, cgroups.VERSION_1], ids=repr)
def hierarchy(request, machine):
    with contextlib.ExitStack() as stack:
        yield hierarchy_enter(stack, request.param)


class Scene:
    """Members by name, what they said, and the recording of the cgroup `outer`."""

    def __init__(self, hierarchy, python, stack):
        self.hierarchy, self.python, self.stack = hierarchy, python, stack
        self.outer = hierarchy.make("outer")
        self.inner = hierarchy.make("outer/in/ner")
        self.sibling = hierarchy.make("outer2")
        self.members, self.said = {}, {}

    def member(self, name, cgroup=None, **options):
        member = self.stack.enter_context(Member(self.python.command("member.py"), **options))
        self.members[name] = member
        if cgroup:
            cgroups.enter(cgroup, member.pid)
        return member

    def record(self, act):
        path = harness.output_path("cgroup-%s" % self.hierarchy)
        with harness.Recorder("--cgroup", self.outer, "-r", RATE, "-o", path) as recorder:
            recorder.wait_started()
            act()
            recorder.process.send_signal(signal.SIGINT)
            done = recorder.wait()
        assert done.returncode == 0, done.stderr
        self.recording = harness.Recording(path, done=done)

    # What happens while it is recorded.

    def stay(self):
        for name in "there", "nested", "sibling":
            self.said[name] = self.members[name].burn("inside")

    def join(self):
        member = self.members["joining"]
        self.said["before"] = member.burn("outside", 0.1)
        cgroups.enter(self.outer, member.pid)
        self.said["joined"] = member.burn("inside")
        self.said["joined_child"] = member.tell("fork", "inside", 0.1)
        cgroups.enter(self.inner, member.pid)  # deeper is inside too
        self.said["deeper"] = member.burn("inside")

    def join_late(self):
        """Only to be in it: what it does is nothing but to wait."""
        member = self.members["late"]
        before = member.cpu()
        cgroups.enter(self.inner, member.pid)
        self.said["late"] = {"before": before, "at": member.cpu(), **member.burn("inside")}

    def enter_and_run(self):
        """A shell without Python goes there and then runs one."""
        command = "echo $$ > %s/cgroup.procs && exec %s" % (
            shlex.quote(self.outer), shlex.join(self.python.command("member.py")))
        member = self.stack.enter_context(Member(["sh", "-c", command]))
        self.members["shell"], self.said["shell"] = member, member.burn("inside")

    def leave(self):
        member = self.members["leaving"]
        self.said["stays"] = member.burn("inside", 0.1)
        cgroups.enter(self.sibling, member.pid)
        self.said["left"] = member.burn("departed")
        self.said["left_child"] = member.tell("fork", "departed", 0.1)
        self.said["left_program"] = member.tell("spawn", "departed", 0.1)

    def leave_and_run(self):
        member = self.members["runner"]
        cgroups.enter(self.sibling, member.pid)
        member.tell("run")
        self.said["ran_outside"] = member.burn("departed", 0.1)
        cgroups.enter(self.outer, member.pid)
        self.said["returned"] = member.burn("inside")
        member.tell("run")
        self.said["ran_inside"] = member.burn("inside")

    def start_others(self):
        member = self.members["there"]
        self.said["fork"] = member.tell("fork", "inside", 0.1)
        self.said["program"] = member.tell("spawn", "inside", 0.1)
        self.said["daemon"] = member.tell("daemon", "inside", 0.1)

    def bear(self):
        """Children that are put into another cgroup at their birth."""
        self.said["born"] = self.members["sibling"].tell("born", "inside", 0.2, self.inner)
        self.said["born_away"] = self.members["there"].tell("born", "outside", 0.1, self.sibling)


@pytest.fixture(scope="module")
def scene(hierarchy, python):
    with contextlib.ExitStack() as stack:
        scene = Scene(hierarchy, python, stack)
        for name, cgroup in {"there": scene.outer, "nested": scene.inner, "joining": None,
                             "late": None, "leaving": scene.outer, "runner": scene.inner,
                             "sibling": scene.sibling, "elsewhere": None}.items():
            scene.member(name, cgroup)

        def act():
            scene.stay()
            scene.members["elsewhere"].burn("outside", 0.1)
            scene.join()
            scene.join_late()
            scene.enter_and_run()
            scene.leave()
            scene.leave_and_run()
            scene.start_others()
            if hierarchy is cgroups.VERSION_2:
                scene.bear()

        scene.record(act)
        yield scene


def test_members(scene):
    """In the cgroup from the start, and below it."""
    for name in "there", "nested":
        check_burned(scene.recording, scene.said[name], "inside")


def test_others_are_absent(scene):
    """One whose cgroup's name only begins alike, and one in none."""
    for name in "sibling", "elsewhere":
        check_absent(scene.recording, scene.members[name].pid)


def test_what_members_start(scene):
    for name in "fork", "program", "daemon":
        check_burned(scene.recording, scene.said[name], "inside")


def test_joining(scene):
    both = dict(scene.said["joined"])
    both["burned"] += scene.said["deeper"]["burned"]
    check_burned(scene.recording, both, "inside", ENTERED)
    assert burned(scene.recording, scene.said["before"], "outside") == 0
    check_burned(scene.recording, scene.said["joined_child"], "inside")


def test_joining_is_exact(scene):
    """What it ran before is not in its ledger, and all that it ran since is."""
    said = scene.said["late"]
    recorded = ledger(scene.recording, said["pid"])
    assert recorded <= said["cpu"] - said["before"] + ASKING
    assert recorded >= said["burned"] - LOOKING


def test_running_after_joining(scene):
    """From its first instruction on: the shell is followed once it is there."""
    said = scene.said["shell"]
    check_burned(scene.recording, said, "inside")
    assert ledger(scene.recording, said["pid"]) >= 0.95 * said["cpu"]


def test_leaving(scene):
    """A process that leaves is recorded on; what it starts then is not."""
    check_burned(scene.recording, scene.said["stays"], "inside")
    check_burned(scene.recording, scene.said["left"], "departed")
    for name in "left_child", "left_program":
        check_absent(scene.recording, scene.said[name]["pid"])


def test_running_after_leaving(scene):
    """Nor is the next program that it runs; but once it is back, all is."""
    assert burned(scene.recording, scene.said["ran_outside"], "departed") == 0
    both = dict(scene.said["returned"])
    both["burned"] += scene.said["ran_inside"]["burned"]
    check_burned(scene.recording, both, "inside", ENTERED)


def test_birth_in_a_cgroup(scene):
    assert ("born" in scene.said) == (scene.hierarchy is cgroups.VERSION_2)
    if "born" in scene.said:
        check_burned(scene.recording, scene.said["born"], "inside")
        check_absent(scene.recording, scene.said["born_away"]["pid"])


def test_labels_and_losses(scene):
    recording = scene.recording
    lost = recording.lost()
    # Samples of an interpreter that has no thread yet, or none any more: of some milliseconds each.
    assert lost.pop("thread_state", 0) <= STARTED
    assert lost.pop("code_unnamed", 0) <= 2  # seen once in ten runs, the cause is not known
    assert not lost
    processes = {process["pid"]: process for process in recording.report["processes"]}
    for name, directory in {"there": scene.outer, "nested": scene.inner}.items():
        process = processes[scene.members[name].pid]
        assert process["cgroup"] == scene.hierarchy.path(directory)
        assert process["command"] == "member.py"


def record_cgroup(path, name, act, ends=True):
    """Records a cgroup while act() runs, and until it ends if it does by itself."""
    output = harness.output_path("cgroup-" + name)
    with harness.Recorder("--cgroup", path, "-r", RATE, "-o", output) as recorder:
        recorder.wait_started()
        act()
        if not ends:
            recorder.process.send_signal(signal.SIGINT)
        done = recorder.wait()
    assert done.returncode == 0, done.stderr
    return harness.Recording(output, done=done)


def test_empty_until_one_joins_and_ended_by_its_removal(hierarchy, python):
    """By its path in the hierarchy, as /proc/PID/cgroup has it; with and without the slash."""
    for number, slash in enumerate(["/", ""]):
        directory = hierarchy.make("empty%d" % number)
        with Member(python.command("member.py")) as member:
            def act():
                cgroups.enter(directory, member.pid)
                member.burn("inside", 0.3)
                member.stop()
                cgroups.remove(directory)

            recording = record_cgroup(slash + hierarchy.path(directory).lstrip("/"),
                                      "empty-%s" % hierarchy, act)
            assert "no process in the cgroup yet" in recording.done.stderr
            assert "no CPython interpreter" not in recording.done.stderr
            check_burned(recording, member.said[-1], "inside", ENTERED)


@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
def test_put_there_by_a_manager(hierarchy, python, known):
    """Each is in the cgroup from before its exec on, and is gone after 50 ms. At first pyebpf may
    have to look at what they run; that is so if none of the cgroup runs it yet."""
    directory = hierarchy.make("managed")
    with Member(python.command("member.py")) as manager, \
            Member(python.command("member.py")) as member:
        if known:
            cgroups.enter(directory, member.pid)
        said = []

        def act():
            said.extend(manager.tell("put", "inside", 0.05, directory, 20))
            member.stop()

        recording = record_cgroup(directory, "managed-%s" % hierarchy, act, ends=False)
    check_absent(recording, manager.pid)
    late = 0 if known else 1
    for each in said[late:]:
        # The ledger of all that it ran but its way there, which it was the manager's child.
        assert ledger(recording, each["pid"]) >= each["burned"], each
    whole = {"burned": sum(each["burned"] for each in said[late:])}
    seconds = sum(sample.seconds for sample in recording.running()
                  if sample.labels["pid"] in {each["pid"] for each in said[late:]} and
                  any(frame.name == "inside" for frame in sample.python))
    assert 0.95 * whole["burned"] <= seconds <= 1.1 * whole["burned"] + 0.01, recording.lost()


def test_each_version(core_interpreter):
    with contextlib.ExitStack() as stack:
        hierarchy = hierarchy_enter(stack, cgroups.Hierarchy("v2", "-t", "cgroup2",
                                                             top="versions"))
        directory, outside = hierarchy.make("here"), hierarchy.make("there")
        there, joining, leaving = (stack.enter_context(
            Member(core_interpreter.command("member.py"))) for _ in range(3))
        for member in there, leaving:
            cgroups.enter(directory, member.pid)
        said = {}

        def act():
            cgroups.enter(directory, joining.pid)
            cgroups.enter(outside, leaving.pid)
            for way in "burn", "fork", "spawn":
                said[way] = there.tell(way, "inside", 0.1)
            said["joining"] = joining.burn("inside", 0.3)
            said["joining_child"] = joining.tell("spawn", "inside", 0.1)
            said["left_child"] = leaving.tell("fork", "departed", 0.1)

        recording = record_cgroup(directory, "version-%s" % core_interpreter, act, ends=False)
    check_absent(recording, said.pop("left_child")["pid"])
    for name, each in said.items():
        check_burned(recording, each, "inside", ENTERED if name == "joining" else 0.8)


@pytest.mark.parametrize("controller", ["cpu", "pids", "name=systemd"])
def test_controllers_of_version_1(python, controller):
    with contextlib.ExitStack() as stack:
        try:
            hierarchy = stack.enter_context(cgroups.OfMachine(controller))
        except OSError as error:
            pytest.skip("no hierarchy of version 1 with %s: %s" % (controller, error))
        directory = hierarchy.make("here")
        member, other = (stack.enter_context(Member(python.command("member.py")))
                         for _ in range(2))

        def act():
            cgroups.enter(directory, member.pid)
            other.tell("spawn", "outside", 0.1)
            member.tell("spawn", "inside", 0.1)

        recording = record_cgroup(directory, "controller-%s" % controller, act, ends=False)
    assert {process["pid"] for process in recording.report["processes"]} == \
        {said["pid"] for said in member.said}
    check_burned(recording, member.said[-1], "inside")


def test_the_hierarchy_with_processes(python, machine):
    """A path that both hierarchies have: what counts is where the processes are."""
    with contextlib.ExitStack() as stack:
        new, old = (hierarchy_enter(stack, each)
                    for each in (cgroups.Hierarchy("v2", "-t", "cgroup2", top="both"),
                                 cgroups.Hierarchy("v1", "-t", "cgroup", "-o",
                                                   "none,name=pyebpf_both", top="both")))
        directory = old.make("both")
        assert old.path(directory) == new.path(new.make("both"))
        member = stack.enter_context(Member(python.command("member.py")))
        cgroups.enter(directory, member.pid)

        def act():
            member.burn("inside", 0.1)
            member.stop()

        recording = record_cgroup(old.path(directory), "both", act, ends=False)
        check_burned(recording, member.said[-1], "inside")


def test_nobody_came(hierarchy):
    done = harness.run("record", "--cgroup", hierarchy.make("nobody"), "-d", "0.3", "-o",
                       harness.output_path("nobody"))
    assert done.returncode == 0
    assert "no CPython interpreter was found" in done.stderr


@pytest.mark.parametrize("path, says", [
    ("/tmp", "/tmp is no cgroup: "),
    ("/no/such/cgroup", "cannot open the cgroup /no/such/cgroup: No such file or directory"),
    ("no/such/cgroup", "cannot open the cgroup no/such/cgroup: No such file or directory"),
    ("", "\"\" is no cgroup"),
    ("TOP/cgroup.procs", "Not a directory"),
    ("TOP/../../..", "is no cgroup"),
])
def test_what_is_no_cgroup(hierarchy, path, says):
    path = path.replace("TOP", hierarchy.top)
    for command in ["record", "-d", "1"], ["top", "-b", "-c", "1"]:
        done = harness.run(*command, "--cgroup", path)
        assert done.returncode == 1
        assert says in done.stderr and done.stderr.startswith("pyebpf %s: " % command[0])


def test_top_of_a_cgroup(hierarchy, python):
    directory = hierarchy.make("top")
    with Member(python.command("member.py")) as member, \
            Member(python.command("member.py")) as other:
        cgroups.enter(directory, member.pid)
        member.process.stdin.write(b"burn inside 2\n")
        other.process.stdin.write(b"burn outside 2\n")
        member.process.stdin.flush()
        other.process.stdin.flush()
        done = harness.run("top", "-b", "-c", "1", "-i", "1", "--cgroup", directory)
        assert done.returncode == 0, done.stderr
        assert "inside" in done.stdout and "outside" not in done.stdout
        member.listen()
        other.listen()


# Descendants.

class Shell:
    """A shell that runs what it is told to: no Python, but the parent of some."""

    def __init__(self, stack):
        self.process = subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        stack.callback(self.end)

    def run(self, command):
        """Waits until it has ended."""
        self.process.stdin.write(("%s\necho done\n" % command).encode())
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"done\n"

    def member(self, python, stack):
        """Becomes the parent of a member, and no more than that."""
        return stack.enter_context(Member(["sh", "-c", shlex.join(
            python.command("member.py")) + "; :"]))

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def burst(python, directory, seconds=0.1):
    return shlex.join(python.command("family.py", directory, str(seconds)))


def test_descendants_of_a_shell(core_interpreter):
    """The shell has a Python already, which is in its own session later, forks, and leaves
    processes that are nobody's children."""
    path = harness.output_path("descendants-%s" % core_interpreter.name)
    command = shlex.join(core_interpreter.command("member.py"))
    with Member(["sh", "-c", command + "; :"]) as member, \
            harness.Recorder("-s", "-p", member.process.pid, "-r", RATE, "-o", path) as recorder:
        assert member.pid != member.process.pid
        recorder.wait_started()
        said = [member.burn("inside")]
        said += [member.tell(way, "inside", 0.1) for way in ("fork", "spawn", "daemon")]
        member.stop()
        done = recorder.wait()
    assert done.returncode == 0, done.stderr
    recording = harness.Recording(path, done=done)
    for each in said:
        check_burned(recording, each, "inside")
    # And the daemon's parent, which only forked; not the shell.
    others = {process["pid"] for process in recording.report["processes"]} - \
        {each["pid"] for each in said}
    assert len(others) == 1 and member.process.pid not in others


def test_waits_for_the_first_child(python):
    """What is named has no Python, nor has it a child: it is not over before the shell is."""
    path = harness.output_path("first-child")
    outside, inside = python.share("first-child")
    with contextlib.ExitStack() as stack:
        shell = Shell(stack)
        recorder = stack.enter_context(harness.Recorder("-s", "-p", shell.pid, "-r", RATE, "-o",
                                                        path))
        recorder.wait_started()
        time.sleep(0.3)  # longer than it takes to look whether it is over
        assert recorder.process.poll() is None
        pids = []
        for _ in range(3):
            shell.run(burst(python, inside))
            pids += [name for name in os.listdir(outside) if name not in pids]
        shell.end()
        done = recorder.wait()
    assert done.returncode == 0, done.stderr
    recording = harness.Recording(path, done=done)
    assert {process["command"] for process in recording.report["processes"]} == {"family.py"}
    assert len(pids) == 3
    for name in pids:
        with open(os.path.join(outside, name)) as file:
            said = json.load(file)
        # The first is a program that pyebpf has not seen before.
        check_burned(recording, said, "burn", 0.8 if name != pids[0] else ENTERED / 2)
        assert ledger(recording, said["pid"]) >= 0.95 * said["cpu"]


def test_descendants_of_the_first_process(python):
    """No Python, and on some machines one that nobody may look into."""
    path = harness.output_path("first-process")
    with Member(python.command("member.py")) as member, \
            harness.Recorder("-s", "-p", 1, "-r", RATE, "-o", path) as recorder:
        recorder.wait_started()
        said = [member.burn("inside", 0.1), member.tell("spawn", "inside", 0.1)]
        recorder.process.send_signal(signal.SIGINT)
        done = recorder.wait()
    assert done.returncode == 0, done.stderr
    recording = harness.Recording(path, done=done)
    # How much of it is not said: all of the machine is recorded, and may fill any ring.
    for each in said:
        assert burned(recording, each, "inside") > 0


def test_several_processes(python):
    """Each once, however often it is named, and nobody else; with -s wherever it stands."""
    path = harness.output_path("several")
    with contextlib.ExitStack() as stack:
        one, two, other = (stack.enter_context(Member(python.command("member.py")))
                           for _ in range(3))
        recorder = stack.enter_context(harness.Recorder(
            "-p", one.pid, "-s", "-p", two.pid, "-p", one.pid, "-r", RATE, "-o", path))
        recorder.wait_started()
        other.burn("outside")
        said = [one.burn("inside"), two.burn("inside"), two.tell("fork", "inside", 0.1)]
        one.stop()
        said.append(two.burn("departed", 0.1))  # goes on with one less
        two.stop()
        done = recorder.wait()
    assert done.returncode == 0, done.stderr
    recording = harness.Recording(path, done=done)
    for each, place in zip(said, ["inside"] * 3 + ["departed"]):
        check_burned(recording, each, place)
    check_absent(recording, other.pid)
    pids = [process["pid"] for process in recording.report["processes"]]
    assert len(pids) == len(set(pids)) == 3


def gone():
    """The PID of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize("more", [[], ["-s"]], ids=["alone", "descendants"])
def test_a_process_that_is_not_there(python, more):
    """Among others that are: an error, since what it named would be missing."""
    with Member(python.command("member.py")) as member:
        zombie = subprocess.Popen(["true"])
        harness.wait_for(lambda: " Z " in open("/proc/%d/stat" % zombie.pid).read(), "a zombie")
        for pid in gone(), zombie.pid, 4194304:
            for command in ["record"], ["top", "-b", "-c", "1"]:
                done = harness.run(*command, "-p", member.pid, "-p", pid, *more)
                assert done.returncode == 1
                assert "cannot attach to %d: " % pid in done.stderr, done.stderr
        zombie.wait()


def test_threads_and_the_kernel_have_no_descendants(interpreter_with_thread):
    """A thread's id is a mistake that would record nothing."""
    tid, pid = interpreter_with_thread
    done = harness.run("record", "-s", "-p", tid, "-d", "1")
    assert done.returncode == 1, done.stderr
    assert "%d is a thread of process %d" % (tid, pid) in done.stderr, done.stderr
    done = harness.run("record", "-s", "-p", "2", "-d", "1")
    assert done.returncode == 1 and "cannot attach to 2: " in done.stderr, done.stderr


@pytest.fixture
def interpreter_with_thread(python):
    code = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), " \
           "daemon=True).start()\nprint('ready', flush=True)\ntime.sleep(60)"
    with harness.Workload([python.find(), "-c", code]) as workload:
        yield max(map(int, os.listdir("/proc/%d/task" % workload.pid))), workload.pid


NOT_TOGETHER = "not several"
HAVE_ANYWAY = "-s goes with"


@pytest.mark.parametrize("arguments, says", [
    ([], "which process?"),
    (["-s"], "which process?"),
    (["-p", "1", "-a"], NOT_TOGETHER),
    (["-a", "--cgroup", "/"], NOT_TOGETHER),
    (["-p", "1", "--cgroup", "/"], NOT_TOGETHER),
    (["-a", "-s"], HAVE_ANYWAY),
    (["--cgroup", "/", "-s"], HAVE_ANYWAY),
    (["--cgroup", "/a", "--cgroup", "/b"], "one cgroup at a time"),
    (["-p", "0"], "the process id"),
    (["4242"], "-p"),
    (["-p", "-1"], "the process id"),
    (["-p", "x"], "the process id"),
    (["-p", "4294967297"], "the process id"),
], ids=str)
def test_what_makes_no_sense(arguments, says):
    for command in "record", "top":
        done = harness.run(command, *arguments)
        assert done.returncode == 2 and says in done.stderr, done.stderr


def test_the_shell_that_runs_pyebpf(python):
    """pyebpf is a descendant then, and passed over as what has no Python."""
    path = harness.output_path("own-shell")
    with tempfile.TemporaryDirectory() as directory:
        command = "%s & %s record -s -p $$ -d 1 -r %d -o %s; wait" % (
            burst(python, directory, 0.5), harness.PYEBPF, RATE, path)
        done = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    recording = harness.Recording(path)
    assert {process["command"] for process in recording.report["processes"]} == {"family.py"}


@pytest.mark.parametrize("arguments", [["-p", "1"], ["-a"], ["--cgroup", "/"]], ids=str)
def test_a_command_is_recorded_alone(arguments):
    done = harness.run("record", *arguments, "--", "true")
    assert done.returncode == 2 and NOT_TOGETHER in done.stderr, done.stderr


# Labels.

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
POD = "0a1b2c3d-1111-2222-3333-444455556666"
POD_ = POD.replace("-", "_")
CONTAINERS = {  # cgroup: container
    "docker/" + ID: ID,
    "system.slice/docker-%s.scope" % OTHER: OTHER,
    "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod%s.slice/cri-containerd-%s.scope"
    % (POD_, ID): ID,
    "kubepods/besteffort/pod%s/%s" % (POD, OTHER): OTHER,
    "kubepods/pod" + POD: POD,
    "machine.slice/libpod-%s.scope/container" % ID: ID,
    "lxc.payload.web-1/system.slice/cron.service": "web-1",
    "machine.slice/machine-my\\x2dbox.scope/payload": "my-box",
    "machine.slice/systemd-nspawn@nest.service/payload": "nest",
    "system.slice/nginx.service": None,
}


@pytest.fixture(scope="module")
def contained(hierarchy, python):
    """Members by their cgroups, each with a child of its own program; and their recording."""
    with contextlib.ExitStack() as stack:
        said = {}

        def act():
            for name, member in members.items():
                said[name] = [member.burn("inside", 0.05), member.tell("fork", "inside", 0.05),
                              member.tell("spawn", "inside", 0.05)]
                member.stop()

        members = {}
        for name in CONTAINERS:
            members[name] = stack.enter_context(Member(python.command("member.py")))
            cgroups.enter(hierarchy.make("labels/" + name), members[name].pid)
        recording = record_cgroup(hierarchy.make("labels"), "labels-%s" % hierarchy, act,
                                  ends=False)
        yield recording, said


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers(hierarchy, contained, name):
    recording, said = contained
    pids = {each["pid"] for each in said[name]}
    processes = [each for each in recording.report["processes"] if each["pid"] in pids]
    assert len({each["pid"] for each in processes}) == 3
    path = hierarchy.path(hierarchy.make("labels/" + name))
    for process in processes:
        assert process["cgroup"] == path
        assert process.get("container") == CONTAINERS[name]
    samples = [sample for sample in recording.profile.samples if sample.labels["pid"] in pids]
    assert samples
    for sample in samples:
        assert sample.labels["cgroup"] == path
        assert sample.labels.get("container") == CONTAINERS[name]


def test_containers_in_the_report(contained):
    """By the first digits of an id, or the name."""
    recording, said = contained
    text = harness.run("report", recording.path).stdout
    names = {name for name in CONTAINERS.values() if name}
    shown = re.findall(r" in ([^ ,\n]+)$", text.split("  1. ")[0], re.M)
    assert len(shown) >= 3, text
    for container in shown:
        start, _, end = container.partition("…")
        assert any(name.startswith(start) and name.endswith(end) for name in names), text
