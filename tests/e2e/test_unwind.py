# SPDX-License-Identifier: BSD-2-Clause
"""Native stacks compared with those of another unwinder, libdwfl, frame by frame.

A short version of `make compare-stacks`: tests/unwind/compare.c stops a program at random moments
and has both unwind the same stack. Here the programs' start is left out.
"""
import os
import sys

import pytest

import harness
from conftest import missing
from interpreters import REPOSITORY, Missing

sys.path.insert(0, os.path.join(REPOSITORY, "tests", "unwind"))

import compare_stacks  # noqa: E402

PLACES = 3000
STEPS = 5
SECONDS = 10
EQUAL = 99.5  # percent, of the places where libdwfl knows the stack
UNKNOWN = 10  # percent, of all places: of the rest it does not


@pytest.fixture(scope="module", autouse=True)
def compare():
    if not os.path.exists(compare_stacks.COMPARE):
        pytest.fail("there is no %s: run make %s" % (
            compare_stacks.COMPARE, os.path.relpath(compare_stacks.COMPARE, REPOSITORY)))


def check(command, who):
    """Compares in a process that runs, or in runs of a command."""
    result = compare_stacks.compare(command, PLACES, SECONDS, STEPS, pause_us=2000)
    told = "%s: %s\n%s" % (who, result.counts, result.differences)
    assert result.counts["places"] >= PLACES / 3, told
    assert result.equal >= EQUAL, told
    assert result.unknown <= UNKNOWN, told


def command_of(make):
    try:
        return make()
    except Missing as error:
        return missing(str(error), True)


def test_interpreter(core_interpreter):
    """In each version, while C code of the standard library runs, and is called back from."""
    command = command_of(compare_stacks.standard_library(core_interpreter))
    with harness.Workload(command) as workload:
        check(["-p", workload.pid], core_interpreter)


def test_hard_places():
    """Stacks that are hard to unwind: signals, coroutines, frames of changing size, and more."""
    with harness.Workload(command_of(compare_stacks.places)) as workload:
        check(["-p", workload.pid], "places.c")


@pytest.mark.parametrize("name", ["perl", "python3 -m compileall"])
def test_program(name):
    """Programs from their first instruction to their last one, again and again."""
    command = command_of(compare_stacks.programs()[name])
    result = compare_stacks.compare(command, PLACES, SECONDS, STEPS, pause_us=2000)
    assert result.counts["different"] <= PLACES * (100 - EQUAL) / 100, result
