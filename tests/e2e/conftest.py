# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures: an interpreter, and each workload's recording under it, made once and read by many."""
import os
import shutil
import subprocess
import tempfile

import pytest

import harness
import native
from interpreters import IN_CI, REQUIRED, Missing, all_interpreters

INTERPRETERS = all_interpreters()
CORE = [next(each for each in INTERPRETERS[::-1] if each.version == version)
        for version in sorted(REQUIRED)]

# workload: how it is recorded.
RECIPES = {
    "stacks": lambda interpreter: harness.attach(interpreter, "stacks.py", 3, 999),
    "waits": lambda interpreter: harness.launch(interpreter, "waits.py", 199),
    "targets": lambda interpreter: harness.follow_script(interpreter, "targets.py", 199),
    "gil": lambda interpreter: harness.launch(interpreter, "gil.py", 499, "--seconds", "2"),
    "identity": lambda interpreter: harness.launch(
        interpreter, "identity.py", 999, "--seconds", "2"),
    "deep": lambda interpreter: harness.launch(interpreter, "deep.py", 499, "--seconds", "2"),
    "threads": lambda interpreter: harness.attach(interpreter, "threads.py", 3, 199),
    "native": lambda interpreter: native.record_calls(interpreter, "native", 1.8),
    "no_native": lambda interpreter: native.record_calls(
        interpreter, "no-native", 1.8, "--no-native"),
    "launched": lambda interpreter: native.launch_calls(
        interpreter, "launched", 1, native.FEW_PHASES),
    "embedded": lambda interpreter: native.record_embedding(interpreter, 0.8, native.FEW_PHASES),
    "perf": lambda interpreter: native.record_calls(
        interpreter, "perf", 0.8, phases=native.FEW_PHASES, arguments=["-X", "perf"]),
}


def missing(reason, required):
    """A failure in CI where it is required there, else a skip that says so."""
    if IN_CI and required:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def machine():
    """What no test can do without."""
    if not os.path.exists(harness.PYEBPF):
        pytest.exit("there is no %s: run make first" % harness.PYEBPF, 2)
    if os.geteuid() != 0:
        missing("recording needs root", True)
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        missing("this kernel has no BTF, so no BPF program can be loaded", True)


def available(interpreter):
    try:
        path = interpreter.outside(interpreter.find())
    except Missing as error:
        missing(str(error), interpreter.version in REQUIRED)
    if not os.path.exists(path):
        missing("no interpreter at " + path, interpreter.version in REQUIRED)
    return interpreter


@pytest.fixture(scope="session", params=INTERPRETERS, ids=repr)
def interpreter(request):
    return available(request.param)


@pytest.fixture(scope="session", params=CORE, ids=repr)
def core_interpreter(request):
    """The versions that must be there, for what depends less on the version."""
    return available(request.param)


@pytest.fixture(scope="session")
def python(machine):
    """One interpreter, for what does not depend on the version."""
    return available(next(each for each in CORE if each.version == (3, 11)))


@pytest.fixture(scope="session")
def recordings():
    """recordings(interpreter, workload): made at its first use."""
    made = {}

    def get(interpreter, workload):
        key = interpreter.name, workload
        if key not in made:
            try:
                made[key] = RECIPES[workload](interpreter)
            except (AssertionError, subprocess.SubprocessError, OSError, Missing) as error:
                made[key] = error
        if isinstance(made[key], Exception):
            raise made[key]
        return made[key]

    return get


@pytest.fixture
def nobody():
    """nobody(argument, …): a command that runs pyebpf without any rights.

    nobody.directory is one that such a user can read.
    """
    directory = tempfile.mkdtemp(prefix="pyebpf-nobody-")
    program = os.path.join(directory, "pyebpf")
    shutil.copy(harness.PYEBPF, program)
    os.chmod(directory, 0o755)
    os.chmod(program, 0o755)

    def command(*arguments):
        return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                "--bounding-set=-all", "--inh-caps=-all", program, *map(str, arguments)]

    command.directory = directory
    yield command
    shutil.rmtree(directory)
