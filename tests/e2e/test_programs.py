# SPDX-License-Identifier: BSD-2-Clause
"""Python in other clothes: in archives and environments, under other names, in files that are gone,
inside of programs that are no interpreter."""
import json
import os
import shlex
import shutil
import signal
import subprocess
import zipfile

import pytest

import environments
import harness
import native
from interpreters import WORKLOADS, Interpreter, Missing
from programs import Program, facts_left, wait_recording

RATE = 499
BURN = "0.2"


def lines_of(script, *names):
    """{name: {(file, first line)}} of functions in a workload."""
    found = {}
    with open(os.path.join(WORKLOADS, script)) as file:
        for number, line in enumerate(file, 1):
            for name in names:
                if line.startswith("def %s(" % name):
                    found[name] = {(script, number)}
    return found


class Child:
    """A command that burns CPU in family.py's burn(), recorded as the child of a shell."""

    def __init__(self, name, command, directory, scope="-s", **options):
        path = harness.output_path(name)
        text = shlex.join(command) + "; :"
        if scope == "-a":
            with harness.Recorder("-a", "-r", RATE, "-o", path, "-q") as recorder:
                wait_recording(recorder)
                subprocess.run(["sh", "-c", text], check=True, stdin=subprocess.DEVNULL,
                               **options)
                recorder.process.send_signal(signal.SIGINT)
                done = recorder.wait()
        else:
            done = harness.run("record", "-s", "-r", RATE, "-o", path, "-q", "--", "sh", "-c", text,
                               **options)
        assert done.returncode == 0, done.stderr
        self.recording = harness.Recording(path, done=done)
        self.facts, = facts_left(directory).values()
        self.program = Program(self.recording, self.facts["pid"])

    def check(self, command, python):
        assert self.program.commands == [command]
        assert self.program.entries[0]["python"].startswith(python), self.program.entries
        # And its way out.
        self.program.check_cpu(self.facts["cpu"], self.facts["cpu"] + 0.06)
        self.program.check_burned("burn", self.facts["burned"])
        assert self.program.lines("burn") == lines_of("family.py", "burn")["burn"]


@pytest.fixture(params=["-s", "-a"])
def scope(request, machine):
    return request.param


def version_text(interpreter):
    return "CPython %d.%d." % interpreter.version


def test_zipapp(core_interpreter, scope):
    name = "%s-zipapp%s" % (core_interpreter.name, scope)
    outside, inside = core_interpreter.share(name)
    with zipfile.ZipFile(outside + "/work.pyz", "w") as archive:
        archive.write(os.path.join(WORKLOADS, "family.py"), "family.py")
        archive.writestr("__main__.py", "import family\nfamily.main()\n")
    command = core_interpreter.command("", inside, BURN)
    at = command.index("-B") + 1
    command[at] = inside + "/work.pyz"
    child = Child(name, command, outside, scope)
    shutil.rmtree(outside)
    child.check("work.pyz", version_text(core_interpreter))


def test_module_of_an_environment(python, scope):
    """The environment's python is a link to the machine's."""
    directory = environments.make("bare", python.find(), [])
    outside, inside = python.share("environment" + scope)
    command = ["env", "PYTHONPATH=" + WORKLOADS, directory + "/bin/python", "-B", "-m", "family",
               inside, BURN]
    child = Child("environment" + scope, command, outside, scope)
    shutil.rmtree(outside)
    child.check("-m family", version_text(python))


def copied(interpreter, outside, name):
    """Puts a copy of the interpreter's program there; how that is run, and its environment."""
    inside = interpreter.command("")[-3]
    shutil.copy(os.path.realpath(interpreter.outside(inside)), outside + "/" + name)
    done = subprocess.run([*interpreter.command("")[:-2], "-c", "import sys; print(sys.prefix)"],
                          stdout=subprocess.PIPE, text=True, check=True)
    environ = dict(os.environ, PYTHONHOME=done.stdout.strip())
    if not interpreter.root:
        environ["LD_LIBRARY_PATH"] = os.path.join(environ["PYTHONHOME"], "lib")
    return interpreter.command("")[:-3], environ


def workload_path(interpreter, script):
    return interpreter.command(script)[-1]


def test_renamed(core_interpreter, scope):
    name = "%s-renamed%s" % (core_interpreter.name, scope)
    outside, inside = core_interpreter.share(name)
    start, environ = copied(core_interpreter, outside, "accountant")
    command = [*start, inside + "/accountant", "-B",
               workload_path(core_interpreter, "family.py"), inside, BURN]
    child = Child(name, command, outside, scope, env=environ)
    shutil.rmtree(outside)
    child.check("accountant family.py", version_text(core_interpreter))


class Rhythm:
    """A recording of workloads/rhythm.py, which works from SIGUSR1 on."""

    def __init__(self, name, command, arguments=(), pid=None, before=None, **options):
        path = harness.output_path(name)
        with harness.Workload(command, **options) as workload:
            self.pid = pid(workload.pid) if pid else workload.pid
            if before:
                before()
            with harness.Recorder(*(arguments or ["-p", self.pid]), "-r", RATE, "-o",
                                  path) as recorder:
                wait_recording(recorder)
                os.kill(self.pid, signal.SIGUSR1)
                self.truth = workload.finish()
                if arguments:
                    recorder.process.send_signal(signal.SIGINT)
                self.done = recorder.wait()
        assert self.done.returncode == 0, self.done.stderr
        self.recording = harness.Recording(path, self.truth, self.done)
        self.program = Program(self.recording, self.pid)

    def check(self, command, python, more=0.06):
        truth, program = self.truth, self.program
        assert program.commands == [command]
        assert program.entries[0]["python"].startswith(python), program.entries
        program.check_cpu(truth["cpu"], truth["cpu"] + more)
        program.check_burned("beat", truth["burned"])
        program.check_waited("rest", truth["rest"])
        lines = {name: {("rhythm.py", line)} for name, line in truth["lines"].items()}
        assert {name: program.lines(name) for name in lines} == lines


@pytest.mark.parametrize("way", ["deleted", "replaced"])
@pytest.mark.parametrize("reach", ["-p", "-a"])
def test_program_that_is_gone(core_interpreter, way, reach):
    """The file is deleted or another has taken its place before the recording begins."""
    name = "%s-%s%s" % (core_interpreter.name, way, reach)
    outside, inside = core_interpreter.share(name)
    start, environ = copied(core_interpreter, outside, "python3")
    command = [*start, inside + "/python3", "-B", workload_path(core_interpreter, "rhythm.py")]

    def before():
        os.unlink(outside + "/python3")
        if way == "replaced":
            shutil.copy("/bin/true", outside + "/python3")

    rhythm = Rhythm(name, command, ["-a"] if reach == "-a" else (), before=before, env=environ)
    shutil.rmtree(outside)
    rhythm.check("rhythm.py", version_text(core_interpreter))


def test_program_replaced_in_the_recording(core_interpreter):
    """An upgrade: what runs goes on, and what is forked from it; what begins is the new one."""
    name = core_interpreter.name + "-upgrade"
    outside, inside = core_interpreter.share(name)
    start, environ = copied(core_interpreter, outside, "python3")
    start = shlex.join([*start, inside + "/python3", "-B", workload_path(
        core_interpreter, "family.py"), inside, "0.1", "--forks", "2"])
    upgrade = "cp {0}/python3 {0}/new; mv {0}/new {0}/python3".format(outside)
    path = harness.output_path(name)
    done = harness.run("record", "-s", "-r", RATE, "-o", path, "-q", "--", "sh", "-c",
                       "%s; %s; %s" % (start, upgrade, start), env=environ)
    assert done.returncode == 0, done.stderr
    recording, facts = harness.Recording(path, done=done), facts_left(outside)
    shutil.rmtree(outside)
    assert len(facts) == 6
    for pid, each in facts.items():
        program = Program(recording, pid)
        assert program.commands == ["family.py"]
        program.check_cpu(each["cpu"], each["cpu"] + 0.06)
        program.check_burned("burn", each["burned"], 0.03)


@pytest.mark.parametrize("reach", ["-p", "-a"])
def test_linked_with_libpython(core_interpreter, reach):
    try:
        program, home = native.build_embedding(core_interpreter)
    except Missing as error:
        pytest.skip(str(error))
    command = [program, os.path.join(WORKLOADS, "rhythm.py")]
    rhythm = Rhythm("%s-linked%s" % (core_interpreter.name, reach), command,
                    ["-a"] if reach == "-a" else (),
                    env=dict(os.environ, PYTHONHOME=home, PYTHONDONTWRITEBYTECODE="1"))
    rhythm.check(os.path.basename(program) + " rhythm.py", version_text(core_interpreter))


def libpython(interpreter):
    """The path of its shared library, and its home."""
    _, home = native.build_embedding(interpreter)
    name = "libpython%d.%d.so.1.0" % interpreter.version
    path = os.path.join(home, "lib", name)
    if not os.path.exists(path):
        raise Missing("there is no " + path)
    return path, home


@pytest.mark.parametrize("reach", ["-a", "-s"])
def test_libpython_that_comes_late(core_interpreter, reach):
    """The program is recorded, or passed over, before it loads any Python."""
    try:
        library, home = libpython(core_interpreter)
    except Missing as error:
        pytest.skip(str(error))
    program = native.compile_source(os.path.join(native.LIBRARIES, "late_python"),
                                    "late_python.c", "-ldl")
    name = "%s-late%s" % (core_interpreter.name, reach)
    path = harness.output_path(name)
    outside, inside = core_interpreter.share(name)
    command = [program, library, os.path.join(WORKLOADS, "family.py"), inside, "0.3"]
    environ = dict(os.environ, PYTHONHOME=home, PYTHONDONTWRITEBYTECODE="1")
    with harness.Workload(command, env=environ) as workload:
        arguments = ["-a"] if reach == "-a" else ["-s", "-p", workload.pid]
        with harness.Recorder(*arguments, "-r", RATE, "-o", path, "-q") as recorder:
            wait_recording(recorder)
            os.kill(workload.pid, signal.SIGUSR1)
            assert workload.process.wait(30) == 0
            recorder.process.send_signal(signal.SIGINT)
            done = recorder.wait()
    assert done.returncode == 0, done.stderr
    facts = facts_left(outside)[workload.pid]
    shutil.rmtree(outside)
    program = Program(harness.Recording(path, done=done), workload.pid)
    assert program.entries[-1]["python"].startswith(version_text(core_interpreter))
    # What came before the interpreter is not all recorded, nor are its first milliseconds.
    program.check_cpu(facts["burned"], facts["cpu"] + 0.06)
    program.check_burned("burn", facts["burned"])
    assert program.lines("burn") == lines_of("family.py", "burn")["burn"]
