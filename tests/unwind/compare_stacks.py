# SPDX-License-Identifier: BSD-2-Clause
"""Compares pyebpf's native stacks with libdwfl's in many programs: `make compare-stacks`.

Owns which programs there are, how their workloads are built, and the table for README.md beside
this file. How stacks are compared is in compare.c. tests/e2e/test_unwind.py has a short version.
"""
import argparse
import collections
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

import interpreters  # noqa: E402
from interpreters import BUILD, REPOSITORY, Missing  # noqa: E402

COMPARE = os.path.join(BUILD, "tests", "unwind", "compare")
WORKLOADS = os.path.join(HERE, "workloads")
DIRECTORY = os.path.join(BUILD, "unwind")
SCRIPT = "standard_library.py"
REASONS = 3  # of a program in the table
PERL = ("while (1) { my %h; $h{$_ % 1000} .= qq(x$_) for 1 .. 20000; "
        "join(q(,), sort { $a cmp $b } values %h) =~ s/(\\d+),/<$1>/gr }")
# The table that linkers make for calls into libraries is filled in at the first call only, and
# made for indirect branch tracking, which has more entries to unwind.
C_OPTIONS = ["-D_GNU_SOURCE", "-Wno-unused-parameter", "-fcf-protection=full", "-Wl,-z,lazy",
             "-Wno-infinite-recursion", "-lm", "-lpthread"]


def compile_workload(output, source, *options):
    """Compiles a file of the workloads, if it has changed since; returns the result's path."""
    path, output = os.path.join(WORKLOADS, source), os.path.join(DIRECTORY, output)
    if os.path.exists(output) and os.path.getmtime(output) >= os.path.getmtime(path):
        return output
    compiler = "g++" if source.endswith(".cc") else "gcc"
    if not shutil.which(compiler):
        raise Missing("no %s on this machine" % compiler)
    os.makedirs(DIRECTORY, exist_ok=True)
    command = [compiler, "-O2", "-Wall", "-Wextra", "-Werror", path, *options, "-o",
               output + ".new"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, "%s\n%s" % (" ".join(command), done.stdout)
    os.rename(output + ".new", output)
    return output


def places():
    compile_workload("places.so", "places.c", "-DPLACES_LIBRARY", "-shared", "-fPIC",
                     "-Wl,-z,ibtplt", *C_OPTIONS)
    return [compile_workload("places", "places.c", "-Wl,-rpath,$ORIGIN", *C_OPTIONS)]


def exceptions():
    return compile_workload("exceptions.so", "exceptions.cc", "-shared", "-fPIC")


def standard_library(interpreter, *arguments):
    """The command that runs the workload in an interpreter. In another root it has no C++."""
    def command():
        path = interpreter.find()
        if not os.path.exists(interpreter.outside(path)):
            raise Missing("no interpreter at " + path)
        if not interpreter.root:
            return [path, "-B", os.path.join(WORKLOADS, SCRIPT), exceptions(), *arguments]
        shutil.copy(os.path.join(WORKLOADS, SCRIPT), interpreter.outside("/tmp/" + SCRIPT))
        return ["chroot", interpreter.root, path, "-B", "/tmp/" + SCRIPT, *arguments]

    return command


def tool(name, *arguments):
    """A program of the machine."""
    def command():
        path = shutil.which(name)
        if not path:
            raise Missing("no %s on this machine" % name)
        return [path, *arguments]

    return command


def compiler_proper():
    done = subprocess.run(["gcc", "-print-prog-name=cc1"], stdout=subprocess.PIPE, text=True)
    done = done.stdout.strip()
    if not os.path.exists(done):
        raise Missing("no cc1 on this machine")
    return [done, "-quiet", "-O2", "-D_GNU_SOURCE", "-imultiarch", "x86_64-linux-gnu", "-o",
            "/dev/null", os.path.join(WORKLOADS, "places.c")]


def numpy():
    path = os.path.join(BUILD, "venv", "bin", "python3")  # of tests/e2e/test_applications.py
    if not os.path.exists(os.path.join(BUILD, "venv", "complete")):
        raise Missing("no virtual environment with numpy; make e2e makes one")
    return [path, "-B", os.path.join(WORKLOADS, SCRIPT), "numpy"]


def python_interpreters():
    return [each for each in interpreters.all_interpreters() if each.version >= (3, 8)]


def programs():
    """{name: a function that returns the command, or raises Missing}"""
    found = {"C: places.c": places}
    for each in python_interpreters():
        found["Python %s" % each] = standard_library(each)
    found["Python, numpy"] = numpy
    found["Python, subprocess"] = tool("/usr/bin/python3", "-c", "import subprocess\n"
                                       "while True: subprocess.run('true')")
    found["python3 -m compileall"] = tool(
        "python3", "-m", "compileall", "-q", "-f", os.path.join(HERE, os.pardir, "e2e"))
    found["perl"] = tool("perl", "-e", PERL)
    found["git log -p"] = tool("git", "-C", REPOSITORY, "log", "-p", "--stat", "-M")
    found["xz -T2"] = tool("xz", "-9", "-k", "-c", "-T2", os.path.join(BUILD, "libpyebpf.a"))
    found["openssl speed"] = tool("openssl", "speed", "-seconds", "1", "aes-256-cbc", "sha512",
                                  "rsa2048", "ecdsap256")
    found["gdb"] = tool("gdb", "-nx", "-batch", "-ex", "info functions record", "-ex",
                        "info types sample", os.path.join(BUILD, "pyebpf"))
    found["gcc's cc1 -O2"] = compiler_proper
    found["clang -O2"] = tool("clang", "-fintegrated-cc1", "-O2", "-D_GNU_SOURCE", "-c", "-o",
                              "/dev/null", os.path.join(WORKLOADS, "places.c"))
    return found


class Result(collections.namedtuple("Result", "counts differences")):
    """The counts that compare.c prints, and the first differences as it shows them."""

    @property
    def known(self):
        """Places of which libdwfl knows the whole stack, or the same part of it at least."""
        return self.counts["equal"] + self.counts["shorter"] + self.counts["different"]

    @property
    def equal(self):
        """The share of stacks that are equal as a whole, in percent."""
        return 100 * self.counts["equal"] / self.known if self.known else 0

    @property
    def unknown(self):
        """The share of places where there is nothing to compare with, in percent."""
        return 100 - 100 * self.known / self.counts["places"] if self.counts["places"] else 100


def compare(command, stacks, seconds=60, steps=40, pause_us=1000, seed=1, shown=5):
    """Compares so many stacks in a command (or -p PID), or what there is within the seconds."""
    options = ["-n", stacks, "-t", seconds, "-s", steps, "-w", pause_us, "-r", seed, "-d", shown]
    done = subprocess.run([COMPARE, *map(str, options), *map(str, command)], timeout=seconds + 60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    return Result(json.loads(done.stdout), done.stderr)


def row(name, result):
    counts = result.counts
    reasons = sorted(counts["reasons"].items(), key=lambda item: -item[1])
    text = ["%d× %s" % (count, reason) for reason, count in reasons[:REASONS]]
    if len(reasons) > REASONS:
        text.append("%d more" % sum(count for _, count in reasons[REASONS:]))
    return [name, counts["places"], counts["addresses"], counts["stacks"], counts["in_syscalls"],
            "%.2f %%" % result.equal, *(counts[each] for each in ("shorter", "different", "alike",
                                                                  "given_up")),
            "; ".join(text) or "–"]


HEAD = ["program", "places", "addresses", "stacks", "in system calls", "equal", "shorter",
        "different", "both end", "libdwfl gives up", "where and why"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=20000, help="places in each program")
    parser.add_argument("-s", type=int, default=40, help="instructions run singly after each stop")
    parser.add_argument("-k", default="", help="only programs with this in their names")
    parser.add_argument("-v", action="store_true", help="show differences")
    options = parser.parse_args()
    print("| " + " | ".join(HEAD) + " |")
    print("|" + "---|" * len(HEAD))
    for name, command in programs().items():
        if options.k not in name:
            continue
        try:
            result = compare(command(), options.n, steps=options.s)
        except Missing as error:
            print("%s: %s" % (name, error), file=sys.stderr)
            continue
        print("| " + " | ".join(map(str, row(name, result))) + " |", flush=True)
        if options.v:
            print(result.differences, file=sys.stderr)


if __name__ == "__main__":
    main()
