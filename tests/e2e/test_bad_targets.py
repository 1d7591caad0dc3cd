# SPDX-License-Identifier: BSD-2-Clause
"""Targets that lie, die, or have files that nobody should read to the end.

Each is recorded by the program as it is shipped and by one built with the sanitizers of addresses
and of undefined behaviour, whose complaints are a failure.
"""
import contextlib
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time

import pytest

import conftest
import harness
import native
import pprof
from interpreters import BUILD, IN_CI, WORKLOADS

SANITIZED = os.path.join(BUILD, "asan", "pyebpf")
MEMORY_MAX = 150 << 10  # KiB: what 500 processes may cost
LIES = ("good frames-cycle frame-itself threads-cycle interpreters-cycle threads-million "
        "name-gigabyte name-negative name-smallest name-control name-wide lines-terabyte "
        "lines-negative lines-endless much churn pointers offsets-random offsets-huge "
        "free-threaded version-unknown garbage").split()  # and names-endless
# What the functions of workloads/hostile.c may be called: a name of its own, or none.
OWN_NAMES = re.compile("fake_function_[0-9]+|cut_|n{1000,}|negative|smallest|\\[unnamed\\]|"
                       "\x1b.*|\ufffd{1,100}|", re.DOTALL)
# What is read while it is overwritten can be any mixture of what the target wrote there.
RANDOM = ("churn", "offsets-random", "offsets-huge", "garbage")
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f]")


def memory_most(pid):
    """What a process has had at most, in KiB. Not ru_maxrss, which counts from before the exec."""
    with open("/proc/%d/status" % pid) as status:
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read())
    return int(found.group(1)) if found else 0


def await_recording(recorder, *seconds):
    """Until it samples, or has ended."""
    harness.wait_for(lambda: harness.samples(recorder.pid) or recorder.poll() is not None,
                     "the recording", *seconds)


class Done:
    """pyebpf, run to its end: what it said, and what memory it took at most, in KiB."""

    def __init__(self, program, *arguments, seconds=60, meanwhile=None, **options):
        self.program = program
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            process = subprocess.Popen([program, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=errors, **options)
            if meanwhile:
                meanwhile(process)
            end, done, self.memory = time.monotonic() + seconds, 0, 0
            while not done and time.monotonic() < end:
                self.memory = max(self.memory, memory_most(process.pid))
                done, status, _ = os.wait4(process.pid, os.WNOHANG)
                time.sleep(0.01)
            if not done:
                process.kill()
                os.wait4(process.pid, 0)
            assert done, "%s hung for %d s" % (arguments, seconds)
            process.returncode = self.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            errors.seek(0)
            self.stdout = output.read().decode("utf-8")  # strict: all that is said is UTF-8
            self.stderr = errors.read().decode("utf-8")
        self.check()

    def check(self):
        for word in ("AddressSanitizer", "LeakSanitizer", "runtime error"):
            assert word not in self.stderr, self.stderr
        assert self.returncode in (0, 1), (self.returncode, self.stderr)
        assert not CONTROL.search(self.stderr), repr(self.stderr)
        if self.program == harness.PYEBPF:
            assert self.memory < MEMORY_MAX, self.memory

    def succeeded(self):
        assert self.returncode == 0, self.stderr
        return self


@pytest.fixture(scope="module")
def sanitized():
    """The program with the sanitizers, for what is not about memory or time."""
    if not os.path.exists(SANITIZED):
        (pytest.fail if IN_CI else pytest.skip)("no %s: make it" % SANITIZED)
    return SANITIZED


@pytest.fixture(scope="module", params=["shipped", "sanitized"])
def program(request):
    return harness.PYEBPF if request.param == "shipped" else request.getfixturevalue("sanitized")


@pytest.fixture(scope="module")
def liar():
    return native.compile_source(os.path.join(BUILD, "e2e", "hostile"), "hostile.c", "-rdynamic",
                                 "-lpthread")


@contextlib.contextmanager
def liars(liar, lies, *late):
    """All of them at once: {lie: pid}."""
    with contextlib.ExitStack() as stack:
        yield {lie: stack.enter_context(harness.Workload([liar, lie, *late])).pid for lie in lies}


def functions_of(profile, pid):
    return {frame.name for sample in profile.samples if sample.labels["pid"] == pid
            for frame in sample.python}


def check_recording(path, pids):
    """Nothing is named as nobody named it; what is good among it is there."""
    profile = pprof.Profile(path)
    for lie, pid in pids.items():
        names = functions_of(profile, pid)
        if lie in RANDOM:
            continue
        for name in names:
            assert OWN_NAMES.fullmatch(name), (lie, name)
    assert functions_of(profile, pids["good"]) == {"fake_function_%d" % i for i in range(12)}


def record_lies(program, liar, *late):
    path = harness.output_path("liars")

    def tell(recorder):
        await_recording(recorder, 60)
        time.sleep(0.3)  # some samples of each before it lies
        for pid in pids.values():
            os.kill(pid, signal.SIGUSR1)

    with liars(liar, LIES, *late) as pids:
        done = Done(program, "record", "-a", "-d", 2, "-o", path,
                    meanwhile=tell if late else None).succeeded()
        check_recording(path, pids)
    assert not CONTROL.search(done.stdout), repr(done.stdout)
    return done, pids


def test_lies_from_the_start(program, liar):
    done, pids = record_lies(program, liar)
    for lie in ("free-threaded", "version-unknown"):
        assert "process %d: " % pids[lie] in done.stderr, done.stderr
    assert "debug offsets of this CPython 3.13 are not those of a release" in done.stderr
    reasons = done.stderr.splitlines()
    assert len(reasons) == len(set(reasons)) and "and 2 others" not in done.stderr
    assert "lost:" in done.stdout and "lost: nothing" not in done.stdout


def test_lies_during_the_recording(program, liar):
    done, _ = record_lies(program, liar, "late")
    assert "lost: nothing" not in done.stdout


def test_dump_of_lies(program, liar):
    with liars(liar, LIES, "late") as pids:
        named = [argument for pid in pids.values() for argument in ("-p", str(pid))]
        for pid in pids.values():
            os.kill(pid, signal.SIGUSR1)
        time.sleep(0.2)
        for lie, pid in pids.items():
            # What cannot be dumped is an error that says why.
            done = Done(program, "dump", "-p", pid) if lie in ("garbage", "frame-itself") else None
            assert not done or (done.returncode == 1 and done.stderr), done
        with_names = [argument for lie in ("good", "frames-cycle", "name-control", "name-wide",
                                           "interpreters-cycle", "threads-million")
                      for argument in ("-p", str(pids[lie]))]
        for arguments in (named, ["-n", *with_names], ["-n", "--json", *with_names]):
            done = Done(program, "dump", *arguments)
            assert arguments is named or not done.returncode, done.stderr
            if "--json" in arguments:
                json.loads(done.stdout)
            else:
                assert not CONTROL.search(done.stdout), repr(done.stdout)
            assert not done.stdout or "fake_function_0" in done.stdout, done.stdout


def test_top_with_liars(program, liar):
    with liars(liar, LIES, "late") as pids:
        def tell(_):
            time.sleep(3)
            for pid in pids.values():
                os.kill(pid, signal.SIGUSR1)

        done = Done(program, "top", "-a", "-b", "-c", 4, "-i", 1, "--native",
                    meanwhile=tell).succeeded()
    assert "fake_function_0" in done.stdout and not CONTROL.search(done.stdout)


@pytest.fixture(scope="module")
def odd(python):
    """A Python whose functions, threads and files have names that a terminal obeys."""
    command = python.command("odd_names.py", "0.02")
    command[0:1] = [command[0]]
    with harness.Workload(["bash", "-c", 'exec -a "$0" "$@"', "\x1b]0;owned\x07py\nthon\x9b"] + command) as workload:
        yield workload.pid


def printed(program, *arguments):
    """What reaches a terminal, without the sequences that colours are made of."""
    done = subprocess.run(["script", "-qec", " ".join(map(str, (program, *arguments))), "/dev/null"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60)
    text = done.stdout.decode("utf-8").replace("\r\n", "\n")
    return re.sub("\x1b\\[[0-9;]*m|\r?\x1b\\[K|\r", "", text)


def check_printed(text):
    assert "owned" in text and not CONTROL.search(text), repr(text)


def test_odd_names(sanitized, odd):
    path = harness.output_path("odd")
    done = Done(sanitized, "record", "-p", odd, "-d", 1.5, "-r", 499, "-o", path).succeeded()
    check_printed(done.stdout)
    profile = pprof.Profile(path)  # its strings are UTF-8, or this fails
    assert any("owned" in name for name in functions_of(profile, odd))
    assert json.loads(Done(sanitized, "report", path, "--json").succeeded().stdout)
    for arguments in ((), ("--json",), ("-n", "60")):
        check_printed(printed(sanitized, "report", path, *arguments))
    collapsed = Done(sanitized, "report", path, "-f", "collapsed").succeeded()
    check_printed(collapsed.stdout)
    for line in collapsed.stdout.splitlines():
        assert re.fullmatch(r".* \d+", line), line


def test_odd_names_live(sanitized, odd):
    done = Done(sanitized, "dump", "-p", odd).succeeded()
    assert not CONTROL.search(done.stdout), repr(done.stdout)
    json.loads(Done(sanitized, "dump", "--json", "-n", "-p", odd).succeeded().stdout)
    text = printed(sanitized, "dump", "--json", "-p", odd)
    assert not CONTROL.search(text), repr(text)
    for view in ("function", "line", "thread", "process"):
        done = Done(sanitized, "top", "-b", "-c", 2, "-i", 0.7, "--view", view, "--idle", "-p", odd)
        assert not CONTROL.search(done.succeeded().stdout), repr(done.stdout)


def elf_header(**changes):
    """An ELF file's first 64 bytes: a shared library of this machine."""
    fields = {"type": 3, "phoff": 64, "shoff": 0, "phnum": 0, "shnum": 0, "shstrndx": 0}
    fields.update(changes)
    return b"\x7fELF\2\1\1" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", fields["type"], 62, 1, 0, fields["phoff"], fields["shoff"], 0, 64, 56,
        fields["phnum"], 64, fields["shnum"], fields["shstrndx"])


def segment(kind, flags, offset, size):
    return struct.pack("<IIQQQQQQ", kind, flags, offset, offset, offset, size, size, 4096)


def section(kind, offset, size, link=0, entry=0, name=1, flags=0):
    return struct.pack("<IIQQQQIIQQ", name, kind, flags, offset, offset, size, link, 0, 1, entry)


def write_sparse(path, size, *parts):
    """Parts are (offset, bytes)."""
    with open(path, "wb") as file:
        for offset, data in parts:
            file.seek(offset)
            file.write(data)
        file.truncate(size)


TERABYTE = 1 << 40


def many_sections(path):
    """The count of sections is in the first one's header: 4 G of them fit into the file."""
    write_sparse(path, TERABYTE, (0, elf_header(shoff=4096, phnum=1)),
                 (64, segment(1, 5, 0, 4096 * 4)), (4096, section(0, 0, 1 << 32)))


def million_sections(path):
    write_sparse(path, 1 << 30, (0, elf_header(shoff=4096, phnum=1)),
                 (64, segment(1, 5, 0, 4096 * 4)), (4096, section(0, 0, 1000000)))


def long_tables(path):
    """Tables of symbols and of their names that take all of the file."""
    write_sparse(path, TERABYTE, (0, elf_header(shoff=4096, phnum=1, shnum=6, shstrndx=5)),
                 (64, segment(1, 5, 0, 4096 * 4)), (4096, section(0, 0, 0)),
                 (4160, section(2, 8192, TERABYTE // 2, 4, 24)),
                 (4224, section(11, 8192, TERABYTE // 2, 4, 24)),
                 (4288, section(6, 8192, TERABYTE // 2, 4, 16)),
                 (4352, section(3, 8192, TERABYTE // 4)),
                 (4416, section(3, 8192, TERABYTE // 4)))


def large_tables(path):
    """The same below what is refused, with names that a CPython has."""
    size = 100 << 20
    write_sparse(path, size * 8, (0, elf_header(shoff=4096, phnum=1, shnum=4, shstrndx=3)),
                 (64, segment(1, 5, 0, 4096 * 4)), (4096, section(0, 0, 0)),
                 (4160, section(2, 8192, size, 3, 24)), (4224, section(11, 8192, size, 3, 24)),
                 (4288, section(3, 4 * size, size)), (4 * size + 1, b"_PyRuntime\0"))


def endless_frames(path):
    """.eh_frame and its index take all of the file."""
    index = struct.pack("<BBBBiI", 1, 0x1b, 3, 0x3b, 4096, 0xffffffff)
    write_sparse(path, TERABYTE, (0, elf_header(shoff=0, phnum=2)),
                 (64, segment(1, 5, 0, TERABYTE)),
                 (120, segment(0x6474e550, 4, 8192, TERABYTE // 2)), (8192, index))


def wrapped(path):
    """Sums of offsets and sizes that overflow."""
    huge = (1 << 64) - 4096
    write_sparse(path, 65536, (0, elf_header(shoff=4096, phnum=2, shnum=3, shstrndx=2)),
                 (64, segment(1, 5, 4096, huge)), (120, segment(4, 4, huge, 8192)),
                 (4096, section(0, 0, 0)), (4160, section(2, huge, huge, 2, 24)),
                 (4224, section(3, huge, 8192)))


def no_elf(path):
    write_sparse(path, 65536, (0, b"\x7fELF"), (4096, os.urandom(8192)))


FILES = [many_sections, million_sections, long_tables, large_tables, endless_frames, wrapped, no_elf]


@pytest.fixture(scope="module")
def mapper():
    return native.compile_source(os.path.join(BUILD, "e2e", "mapper"), "mapper.c")


@contextlib.contextmanager
def mapping(mapper, directory):
    """A process that has all of the files mapped as code, under a name that promises a Python."""
    paths = []
    for index, make in enumerate(FILES):
        paths.append(os.path.join(directory, "libpython3.1%d.so\n\x1b[2J" % index))
        make(paths[-1])
    with harness.Workload([mapper, *paths, "/dev/zero"]) as workload:
        yield workload, paths


def test_files_without_end(program, python, mapper, tmp_path):
    path = harness.output_path("files-without-end")
    with mapping(mapper, str(tmp_path)) as (workload, _), \
            harness.Workload(python.command("odd_names.py", "0.02")) as odd:
        done = Done(program, "record", "-p", workload.pid, "-d", 1, "-o", path, seconds=30)
        assert done.returncode == 1 and "is not a CPython process" in done.stderr, done.stderr
        # The others go on: with native stacks its files are read as others' are.
        done = Done(program, "record", "-a", "-d", 2, "--native-lines", "-q", "-o", path)
        assert functions_of(pprof.Profile(path), odd.pid), done.stderr


def test_code_in_files_without_end(program, liar, tmp_path):
    """A Python, it says, with all of these files mapped beside it."""
    library = native.compile_source(os.path.join(BUILD, "e2e", "mapping.so"), "mapping.c",
                                    "-shared", "-fPIC")
    paths = []
    for index, make in enumerate(FILES):
        paths.append(str(tmp_path / ("module%d.so" % index)))
        make(paths[-1])
    path = harness.output_path("code-without-end")
    environment = dict(os.environ, LD_PRELOAD=library, MAPPING=":".join(paths))
    with harness.Workload([liar, "good"], env=environment) as workload:
        done = Done(program, "record", "-p", workload.pid, "-d", 3, "--native-lines",
                    "-o", path, "-r", 499).succeeded()
        names = functions_of(pprof.Profile(path), workload.pid)
        assert "fake_function_0" in names, done.stdout


@pytest.fixture(scope="module")
def respawn():
    return native.compile_source(os.path.join(BUILD, "e2e", "respawn"), "respawn.c")


@pytest.fixture(scope="module")
def other_python():
    """A Python of another version than the fixture `python`."""
    return conftest.available(next(each for each in conftest.CORE if each.version == (3, 14)))


def free_pid():
    """One that nobody has, far from those that are given out next."""
    last = int(open("/proc/sys/kernel/ns_last_pid").read())
    highest = int(open("/proc/sys/kernel/pid_max").read())
    pid = (last + highest // 2) % (highest - 1000) + 500
    while os.path.exists("/proc/%d" % pid):
        pid += 1
    return pid


class Successors:
    """Programs that get the same PID, one after the other."""

    def __init__(self, respawn, *commands):
        self.pid = free_pid()
        joined = [word for command in commands for word in ["--", *command]][1:]
        self.workload = harness.Workload([respawn, str(self.pid), *joined])

    def replace(self):
        self.workload.process.send_signal(signal.SIGUSR1)
        self.workload.line()

    def __enter__(self):
        self.workload.__enter__()
        return self

    def __exit__(self, *_):
        if os.path.exists("/proc/%d" % self.pid):
            os.kill(self.pid, signal.SIGKILL)
        self.workload.__exit__()


def spinner(interpreter, name):
    """The command, and what exists once it spins, and not before."""
    mark = "/tmp/pyebpf-%s-%d" % (name, os.getpid())
    command = interpreter.command("spin.py", name, mark)
    if os.path.exists(interpreter.outside(mark)):
        os.unlink(interpreter.outside(mark))
    return command, interpreter.outside(mark)


def await_mark(mark):
    harness.wait_for(lambda: os.path.exists(mark), mark)
    os.unlink(mark)


def spent(profile, pid, name):
    return sum(sample.seconds for sample in profile.samples if sample.labels["pid"] == pid and
               any(frame.name == name for frame in sample.python))


@pytest.mark.parametrize("kind", ["other", "python"])
def test_pid_of_another(sanitized, python, other_python, respawn, mapper, kind):
    """-p ends with the process; who gets its PID is not recorded."""
    path = harness.output_path("successor-" + kind)
    first, mark = spinner(python, "former")
    second, second_mark = spinner(other_python, "latter")
    if kind == "other":
        second = [mapper]
    with Successors(respawn, first, second) as successors:
        await_mark(mark)

        def replace(recorder):
            await_recording(recorder)
            time.sleep(0.5)
            successors.replace()

        done = Done(sanitized, "record", "-p", successors.pid, "-d", 20, "-r", 499, "-o", path, "-q",
                    meanwhile=replace).succeeded()
        if kind == "python":
            await_mark(second_mark)
        pid = successors.pid
    recording = harness.Recording(path, done=done)
    assert recording.report["duration_s"] < 15
    process, = recording.report["processes"]
    assert process["pid"] == pid and process["python"].startswith("CPython 3.11.")
    assert spent(recording.profile, pid, "former") > 0.1
    assert not spent(recording.profile, pid, "latter")
    assert functions_of(recording.profile, pid) <= {"former", "<module>"}
    lived = sum(thread["seconds"] for thread in process["threads"])
    assert lived < recording.report["duration_s"] + 0.1


def test_pid_of_another_on_the_host(sanitized, python, other_python, respawn, mapper):
    """Each is recorded under its own name and version, and what is no Python is not."""
    path = harness.output_path("successors")
    first, mark = spinner(python, "former")
    third, third_mark = spinner(other_python, "latter")
    with Successors(respawn, first, [mapper], third, [mapper]) as successors:
        await_mark(mark)

        def replace(recorder):
            await_recording(recorder)
            time.sleep(0.5)
            successors.replace()
            time.sleep(0.3)
            successors.replace()
            await_mark(third_mark)
            time.sleep(0.5)
            successors.replace()
            time.sleep(0.3)
            recorder.send_signal(signal.SIGINT)

        done = Done(sanitized, "record", "-a", "-d", 30, "-r", 499, "-o", path, "-q",
                    meanwhile=replace).succeeded()
        pid = successors.pid
    recording = harness.Recording(path, done=done)
    found = {process["python"][:12]: process for process in recording.report["processes"]
             if process["pid"] == pid and process["python"]}
    assert set(found) == {"CPython 3.11", "CPython 3.14"}
    # A machine with many processes takes a while until it is the turn of this one.
    assert spent(recording.profile, pid, "former") > 0.01
    assert spent(recording.profile, pid, "latter") > 0.3
    for process in found.values():
        lived = sum(thread["seconds"] for thread in process["threads"])
        assert 0.01 < lived < recording.report["duration_s"] - 0.5


def test_pid_of_another_at_the_start(sanitized, python, respawn, mapper):
    """Replaced at any moment of the start-up: the latter is never taken for the former."""
    path = harness.output_path("successor-start")
    for moment in range(0, 500, 50):
        first, mark = spinner(python, "former")
        with Successors(respawn, first, [mapper]) as successors:
            await_mark(mark)

            def replace(_):
                time.sleep(moment / 1000)
                successors.replace()

            done = Done(sanitized, "record", "-p", successors.pid, "-d", 5, "-r", 999, "-o", path,
                        "-q", meanwhile=replace)
            if done.returncode:
                assert str(successors.pid) in done.stderr, done.stderr
                assert not os.path.exists(path)
                continue
            for sample in pprof.Profile(path).samples:
                # Its end, in the kernel, may have no Python frames any more.
                assert not sample.python or sample.stack[0].name != "", sample.stack
                names = {frame.name for frame in sample.python}
                assert names <= {"former", "<module>"}
                assert not any("mapper" in frame.module for frame in sample.stack)
            os.unlink(path)


# Functions of workloads/storm.py, and of what it runs by -c.
STORM = {"storm.py": {"<module>", "burn", "forked", "executed", "reap", "storm"},
         "<string>": {"<module>", "work"}}


def check_storm(path, python):
    """Only what was there, under its own name: of the rest, files of the interpreter's library."""
    recording = harness.Recording(path)
    for sample in recording.profile.samples:
        if sample.labels["process"] not in ("storm.py", "-c"):
            continue
        for frame in sample.python:
            file = os.path.basename(frame.file)
            if file in STORM:
                assert frame.name in STORM[file], frame
            elif frame.name not in ("[unnamed]", "[no Python frame]", "[no interpreter]"):
                assert "/lib/python3." in frame.file or frame.file.startswith("<frozen "), frame
    versions = {process["python"][:12] for process in recording.report["processes"]
                if process["command"] == "storm.py" and process["python"]}
    assert versions == {"CPython %d.%d" % python.version}
    return recording


@pytest.mark.parametrize("scope", ["-a", "-s"])
def test_storm(program, python, scope):
    path = harness.output_path("storm" + scope)
    with harness.Workload(python.command("storm.py", "6")) as workload:
        named = ["-a"] if scope == "-a" else ["-s", "-p", str(workload.pid)]
        done = Done(program, "record", *named, "-d", 2.5, "-q", "-o", path).succeeded()
        count = int(workload.line())
    recording = check_storm(path, python)
    mine = [process for process in recording.report["processes"] if process["command"] == "storm.py"]
    # Its half is forks, which are recorded from the start; which of them fell into the recording
    # is not known. None is counted twice.
    assert 2 <= len(mine) <= count, (len(mine), count)
    assert len(done.stderr.splitlines()) < 20, done.stderr


def test_storm_live(program, python):
    with harness.Workload(python.command("storm.py", "60")) as workload:
        done = Done(program, "top", "-a", "-b", "-c", 3, "-i", 0.7, "--view", "process").succeeded()
        assert "storm.py" in done.stdout
        done = Done(program, "top", "-p", workload.pid, "-s", "-b", "-c", 2, "-i", 0.5).succeeded()
        assert done.stdout


@pytest.mark.parametrize("command", ["record", "dump", "top"])
def test_death_at_any_moment(sanitized, python, command):
    """An error that says what has happened, or what there was to see: never neither, nor both."""
    arguments = {"record": ["-d", 5, "-o", "/dev/null", "-f", "json"], "dump": ["--json"],
                 "top": ["-b", "-c", 3, "-i", 0.5]}[command]
    outcomes = set()
    for moment in range(0, 450, 30):
        command_line, mark = spinner(python, "mortal")
        process = subprocess.Popen(command_line)
        await_mark(mark)

        def kill(_):
            time.sleep(moment / 1000)
            process.kill()
            process.wait()

        done = Done(sanitized, command, "-p", process.pid, *arguments, seconds=20, meanwhile=kill)
        outcomes.add(done.returncode)
        if done.returncode:
            assert str(process.pid) in done.stderr or "ended" in done.stderr, done.stderr
            assert len(done.stderr.splitlines()) == 1, done.stderr
        elif command == "dump":
            json.loads(done.stdout)
    assert 1 in outcomes  # dead before it was looked at


def test_dead_processes(sanitized, python):
    """One that has ended, one that nobody has waited for, and one that does not let go of it."""
    process = subprocess.Popen([python.find(), "-c", "pass"])
    harness.wait_for(lambda: open("/proc/%d/stat" % process.pid).read().split()[2] == "Z", "its end")
    for command in ("record", "dump", "top"):
        done = Done(sanitized, command, "-p", process.pid, *(["-b"] if command == "top" else []))
        assert done.returncode == 1 and "has ended (it is a zombie)" in done.stderr, done.stderr
    process.wait()
    for command in ("record", "dump", "top"):
        done = Done(sanitized, command, "-p", process.pid, *(["-b"] if command == "top" else []))
        assert done.returncode == 1 and "no process %d" % process.pid in done.stderr, done.stderr


def in_proc_with_hidepid(*command):
    """The command, where /proc shows a user's own processes alone."""
    return ["unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc; exec "$@"', "sh",
            *command]


def as_nobody(*capabilities):
    """With these capabilities and no other."""
    names = ",".join("+" + name for name in capabilities)
    bound = ",".join(["-all"] + ([names] if names else []))
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=" + bound,
            "--inh-caps=" + bound] + (["--ambient-caps=" + bound] if names else [])


@pytest.fixture
def copied(sanitized, nobody):
    """A copy that everybody may run, and a directory that is nobody's."""
    path = os.path.join(nobody.directory, "copy")
    shutil.copy(sanitized, path)
    os.chmod(path, 0o755)
    outputs = os.path.join(nobody.directory, "outputs")
    os.mkdir(outputs)
    os.chown(outputs, 65534, 65534)
    return path, os.path.join(outputs, "recording.pb.gz")


NEEDED = ["bpf", "perfmon", "sys_ptrace", "sys_admin"]


def run_as(copied, prefix, *arguments, hidden=True):
    command = [*prefix, copied[0], *map(str, arguments)]
    command = in_proc_with_hidepid(*command) if hidden else command
    # It cannot stop threads to look for leaks there.
    return Done(command[0], *command[1:], env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))


def test_hidden_processes(copied, odd):
    """hidepid: those who have the rights see through it, the others are told what is missing."""
    done = run_as(copied, as_nobody(*NEEDED, "dac_read_search"), "record", "-p", odd, "-d", 1,
                  "-o", copied[1]).succeeded()
    assert functions_of(pprof.Profile(copied[1]), odd), done.stderr
    for missing in NEEDED:
        held = [name for name in NEEDED if name != missing]
        if missing in ("bpf", "perfmon"):
            held.remove("sys_admin")  # which includes them
        for arguments in (["record", "-a", "-d", 1, "-o", copied[1]], ["dump", "-p", odd],
                          ["top", "-b", "-p", odd]):
            done = run_as(copied, as_nobody(*held), *arguments)
            assert done.returncode == 1, done.stdout
            assert "CAP_%s is missing" % missing.upper() in done.stderr, done.stderr
            assert "run pyebpf with sudo" in done.stderr
    done = run_as(copied, as_nobody(), "check", "-p", odd)
    assert "is hidden in /proc (mounted with hidepid)" in done.stdout, done.stdout


def test_unreadable_program(copied, python, nobody):
    """A program that only its owner may read is not said to be no Python."""
    program = os.path.join(nobody.directory, "secret")
    shutil.copy(os.path.realpath("/usr/bin/python3"), program)
    os.chmod(program, 0o711)
    with harness.Workload([program, "-c", "import time\nprint('ready', flush=True)\n"
                           "while True: time.sleep(0.01)"]) as workload:
        done = run_as(copied, as_nobody(*NEEDED), "record", "-p", workload.pid, "-d", 1, "-o",
                      copied[1], hidden=False)
        assert done.returncode == 1 and "CAP_DAC_READ_SEARCH" in done.stderr, done.stderr
        done = run_as(copied, as_nobody(*NEEDED), "record", "-a", "-d", 1, "-o", copied[1], "-q",
                      hidden=False).succeeded()
        assert "no right to read %s" % program in done.stderr, done.stderr


@pytest.mark.parametrize("options, cure", [
    (["--user", "--map-root-user"], "run pyebpf as root outside of it"),
    (["--pid", "--fork", "--mount-proc"], "run pyebpf on the host"),
    (["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"], "outside of it")])
def test_inside_of_namespaces(sanitized, options, cure):
    """Its PIDs are others there than in the kernel, which could be taken for other processes'."""
    environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
    for arguments in (["record", "-p", "1", "-d", "1"], ["record", "-a"], ["dump", "-p", "1"],
                      ["top", "-b", "-a"]):
        done = Done("unshare", *options, sanitized, *arguments, env=environment)
        assert done.returncode == 1 and cure in done.stderr, done.stderr
    done = Done("unshare", *options, sanitized, "check", env=environment)
    assert done.returncode == 1 and cure in done.stdout, done.stdout


def test_outputs_that_cannot_be(sanitized, odd, tmp_path):
    """Known at once, not after the recording."""
    directory = tmp_path / "full"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)], check=True)
    try:
        (directory / "filler").write_bytes(b"x" * 65536)
        for path in (tmp_path / "missing" / "x.pb.gz", tmp_path, "/proc/x.pb.gz",
                     directory / "x" / "y.pb.gz", "/sys/kernel/notes"):
            begun = time.monotonic()
            done = Done(sanitized, "record", "-a", "-d", 30, "-o", path)
            assert done.returncode == 1 and "cannot write" in done.stderr, done.stderr
            assert "-o" in done.stderr and time.monotonic() - begun < 20
        done = Done(sanitized, "record", "-p", odd, "-d", 1, "-o", directory / "x.pb.gz")
        refuge = re.search(r"No space left on device; the recording is in (\S+)", done.stderr)
        assert done.returncode == 1 and refuge, done.stderr
        assert functions_of(pprof.Profile(refuge.group(1)), odd)
        os.unlink(refuge.group(1))
    finally:
        subprocess.run(["umount", str(directory)], check=True)


ALL_ADDRESSES = [b"%x ffffffff " % start for start in range(0x7e0000000000, 0x800000000000, 1 << 32)]


def map_fifo(path):
    os.mkfifo(path)


def map_endless(path):
    os.symlink("/dev/zero", path)


def map_of_another(path):
    open(path, "wb").write(b"".join(line + b"stolen\n" for line in ALL_ADDRESSES))
    os.chown(path, 65534, 65534)


def map_sparse(path):
    write_sparse(path, 1 << 30, (0, b"7f0000000000 10 first\n"))


def map_of_lines(path):
    open(path, "wb").write(b"1 1 a\n" * (60 << 20 >> 3))


def map_garbage(path):
    open(path, "wb").write(os.urandom(8 << 20))


def map_escapes(path):
    names = b"\x1b]0;owned\x07\xff\x9b\r\0long" + b"g" * 100000
    open(path, "wb").write(b"".join(line + names + b"\n" for line in ALL_ADDRESSES))


@pytest.fixture(scope="module")
def preloaded():
    return native.compile_source(os.path.join(BUILD, "e2e", "mapping.so"), "mapping.c", "-shared",
                                 "-fPIC")


@pytest.mark.parametrize("make", [map_fifo, map_endless, map_of_another, map_sparse, map_of_lines,
                                  map_garbage, map_escapes])
def test_perf_map(program, liar, preloaded, make):
    """What lies in /tmp under the name of a map: of code that the target makes itself."""
    path, environment = harness.output_path("perf-map"), dict(os.environ, LD_PRELOAD=preloaded,
                                                             MAPPING="/bin/true")
    with harness.Workload([liar, "good"], env=environment) as workload:
        map_path = "/tmp/perf-%d.map" % workload.pid
        make(map_path)
        try:
            done = Done(program, "record", "-p", workload.pid, "-d", 1.5, "-r", 499, "-o", path,
                        ).succeeded()
        finally:
            os.unlink(map_path)
    assert not CONTROL.search(done.stdout), repr(done.stdout)
    names = {frame.name for sample in pprof.Profile(path).samples for frame in sample.stack}
    assert "fake_function_0" in names and "stolen" not in names
    if make is map_escapes:
        assert any("owned" in name for name in names), names


def test_files_that_shrink(program, liar, python, preloaded, tmp_path):
    """Truncated and restored all the time, while their symbols and tables are read."""
    libraries = [os.path.realpath("/usr/bin/python3"), os.path.realpath("/lib64/ld-linux-x86-64.so.2")]
    contents = [open(path, "rb").read() for path in libraries]
    copies = [str(tmp_path / ("libpython3.%d.so" % index)) for index in range(2)]
    path = harness.output_path("shrinking")
    for copy, content in zip(copies, contents):
        open(copy, "wb").write(content)
    environment = dict(os.environ, LD_PRELOAD=preloaded, MAPPING=":".join(copies))
    stop = threading.Event()

    def shrink():
        while not stop.is_set():
            for copy, content in zip(copies, contents):
                os.truncate(copy, random.choice([0, 64, 4096, len(content) // 2]))
                time.sleep(random.uniform(0, 0.01))
                with open(copy, "r+b") as file:
                    file.write(content)
                time.sleep(random.uniform(0, 0.01))

    with harness.Workload([liar, "good"], env=environment) as workload:
        thread = threading.Thread(target=shrink)
        thread.start()
        try:
            for _ in range(4):
                done = Done(program, "record", "-a", "-d", 1, "-r", 499, "--native-lines", "-q",
                            "-o", path).succeeded()
                Done(program, "dump", "-n", "-p", workload.pid)
                # Which of its files is found to be an interpreter is a matter of luck.
                assert functions_of(pprof.Profile(path), workload.pid) <= \
                    {"fake_function_%d" % i for i in range(12)} | {"[no Python frame]",
                                                                   "[no interpreter]"}, done.stderr
        finally:
            stop.set()
            thread.join()


def test_endless_arguments(program, python):
    """A command line of 2 MB that is no text, and as large an environment."""
    arguments = [b"\xff\x1b[2J\n\xe2\x80\xae" * 10000] * 15
    environment = {b"VAR%d\x1b" % i: b"\xff\n" * 30000 for i in range(10)}
    path = harness.output_path("arguments")
    with harness.Workload([arguments[0], "-c", "import time\nprint('ready', flush=True)\n"
                           "while True: time.sleep(0.01)", *arguments], executable=python.find(),
                          env=environment) as workload:
        done = Done(program, "record", "-a", "-d", 1, "-o", path).succeeded()
        assert not CONTROL.search(done.stdout), repr(done.stdout)
        profile = pprof.Profile(path)
        names = {sample.labels["process"] for sample in profile.samples
                 if sample.labels["pid"] == workload.pid}
        assert len(names) == 1 and len(names.pop()) < 2000
        for arguments in (["dump", "-p", workload.pid],
                          ["top", "-b", "-c", 2, "-i", 0.5, "--view", "process", "--idle", "-p",
                           workload.pid]):
            done = Done(program, *arguments).succeeded()
            assert not CONTROL.search(done.stdout), repr(done.stdout)


CORRUPT = re.compile(r"(victim|outer|damage)_\w*|<module>|(names|fields|word_at|replace_pointer|"
                     r"line_table)(\.<locals>\.<\w+>)?|nap|honest|wait|_\w+|(Condition|Event)\.\w+|"
                     r"notify(_all)?|set|is_set|sigwait|run|_bootstrap(_inner)?|"
                     r"Thread\.(run|_bootstrap(_inner)?)|\[unnamed\]|\[no Python frame\]|"
                     r"\[no interpreter\]")


@pytest.mark.parametrize("program", [harness.PYEBPF], ids=["shipped"])
def test_damaged_interpreter(program, interpreter):
    """A real one that damages itself: before pyebpf looks, and while it records."""
    path = harness.output_path("corrupt-" + interpreter.name)
    with harness.Workload(interpreter.command("corrupt.py")) as workload:
        def damage(recorder):
            await_recording(recorder)
            workload.process.send_signal(signal.SIGUSR1)
            assert workload.line(10) == "damaged\n"

        done = Done(program, "record", "-p", workload.pid, "-d", 2.5, "-r", 199, "-o", path,
                    meanwhile=damage).succeeded()
        names = functions_of(pprof.Profile(path), workload.pid)
        assert "honest" in names and not CONTROL.search(done.stdout)
        lost = harness.Recording(path).lost()
        for reasons in (("stack_cut",), ("frame_invalid", "frame_unreadable"), ("code_unnamed",),
                        ("lines_cut", "line_table")):
            assert any(lost.get(reason) for reason in reasons), (reasons, lost)
        for name in names:
            # A length of a name that is a lie brings along what lies behind it: cut, and counted.
            assert CORRUPT.fullmatch(name) or name.startswith("victim_name_length"), name
        for command in (["dump", "-p", workload.pid], ["dump", "--json", "-n", "-p", workload.pid],
                        ["top", "-b", "-c", 2, "-i", 0.5, "-p", workload.pid],
                        ["record", "-p", workload.pid, "-d", 1, "-o", path]):
            done = Done(program, *command)
            assert not done.returncode or "is not that of CPython %d.%d" % interpreter.version \
                in done.stderr, done.stderr
            assert "--json" in command or not CONTROL.search(done.stdout), repr(done.stdout)


def test_names_without_end(program, liar):
    """1,400 frames of ever new functions with names of 2 KB and line tables of 255 KB."""
    path = harness.output_path("names-without-end")
    with harness.Workload([liar, "names-endless"]) as workload:
        done = Done(program, "record", "-p", workload.pid, "-d", 4, "-r", 499, "-o", path)
        assert "frames without a name" in done.succeeded().stdout, done.stdout
        names = functions_of(pprof.Profile(path), workload.pid)
        assert names and all(re.fullmatch(r"endless_\d+_\d+_x+|fake_function_0|\[unnamed\]", name)
                             for name in names), names
        done = Done(program, "top", "-b", "-c", 3, "-i", 1, "-p", workload.pid).succeeded()
        assert done.stdout


@pytest.mark.parametrize("mappings", [0, 60000])
def test_mapping_without_end(program, python, liar, tmp_path, mappings):
    """What seems to be Python is mapped and unmapped in a loop, inside and beside of a target."""
    flood = native.compile_source(os.path.join(BUILD, "e2e", "flood"), "flood.c", "-lpthread")
    library = native.compile_source(os.path.join(BUILD, "e2e", "flood.so"), "flood.c", "-shared",
                                    "-fPIC", "-lpthread")
    promising, path = str(tmp_path / "libpython3.so"), harness.output_path("mapping-without-end")
    shutil.copy("/bin/true", promising)
    environment = dict(os.environ, LD_PRELOAD=library, FLOOD=promising, FLOOD_MAPPINGS=str(mappings))
    with harness.Workload([flood, promising, str(mappings)]), \
            harness.Workload([liar, "good"], env=environment) as inside:
        for scope in (["-a"], ["-p", str(inside.pid)]):
            done = Done(program, "record", *scope, "-d", 2, "-q", "-o", path, seconds=40).succeeded()
            assert "fake_function_0" in functions_of(pprof.Profile(path), inside.pid), done.stderr
