#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""Tries build/pyebpf-shared on Debian's kernels, in an emulated machine: run.py SUITE...

Prints one line per kernel and exits with 1 if anything is not as it must be. README.md says what
is needed, what is checked, and what is not.
"""
import argparse
import base64
import glob
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("PYEBPF_BUILD") or os.path.join(REPOSITORY, "build")
PYEBPF = os.path.join(BUILD, "pyebpf-shared")  # whose calls of libbpf can be intercepted
WORK = os.path.join(BUILD, "vm")
sys.path.insert(0, os.path.join(REPOSITORY, "tests", "e2e"))

import pprof  # noqa: E402

SECONDS = 14  # of a recording: about twice as long as the workload takes under emulation
MACHINE_TIMEOUT = 600
# What may be lost, and how much of more than 1000 waits. The programs of fexit and sys_exit can be
# preempted, and then miss what happens meanwhile, of whatever process; that of sched_exit_tp cannot.
# A thread that looks for its state may come upon one that is being freed.
RECURSION_MAX = {"tp_btf/sched_exit_tp": 0, "fexit/schedule": 100, "tp_btf/sys_exit": 100}
THREAD_STATE_MAX = 3
MISCOUNTED_MAX = 2  # waits of a function, where anything was lost
TOOLS = {"mmdebstrap": "mmdebstrap", "cpio": "cpio", "qemu-system-x86_64": "qemu-system-x86",
         "cc": "gcc"}

# The programs of bpf/offcpu.bpf.c by the hook they need, best first as in the ladder.
HOOKS = {"tp_btf/sched_exit_tp": "return_sched_exit", "fexit/schedule": "return_schedule",
         "tp_btf/sys_exit": "return_syscall"}
# Suite: the kernel it must have, and which of the hooks work there. None: too old, and told so.
SUITES = {
    "bullseye": ("5.10.", None),
    "bookworm": ("6.1.", ["fexit/schedule", "tp_btf/sys_exit"]),
    "trixie": ("6.12.", ["fexit/schedule", "tp_btf/sys_exit"]),
    "sid": ("", list(HOOKS)),
}
# Function of workload.py: the state it waits in.
STATES = {"receive": "socket", "poll_one": "socket", "take": "lock", "sleep_long": "sleep",
          "sleep_short": "sleep", "serve": "sleep"}
ALWAYS = {"running", "runqueue", "gil"}  # states that any function may be in besides


class Failure(Exception):
    pass


def need(condition, sentence):
    if not condition:
        raise Failure(sentence)


# The machine: a kernel and a file system in memory. ---------------------------------------------
def unpack(suite):
    """A folder with the suite's kernel and python3, unpacked from its packages, not installed."""
    root = os.path.join(WORK, suite)
    if os.path.exists(root):
        return root
    os.makedirs(WORK, exist_ok=True)
    shutil.rmtree(root + ".new", ignore_errors=True)
    hooks = ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"] if suite != "bullseye" else []
    command = ["mmdebstrap", "--quiet", "--variant=extract", *hooks,
               '--aptopt=Acquire::Check-Valid-Until "false"',
               "--include=linux-image-cloud-amd64,python3", suite, root + ".new"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, timeout=900)
    need(not done.returncode, "cannot unpack the packages: " + done.stdout[-500:])
    os.rename(root + ".new", root)
    return root


def kernel_image(root):
    found = glob.glob(root + "/boot/vmlinuz-*") + glob.glob(root + "/usr/lib/modules/*/vmlinuz")
    need(found, "no kernel in " + root)
    return found[0]


def archive(directory, names, path):
    """A cpio archive, as the kernel unpacks it into memory before it starts /init."""
    with open(path, "wb") as file:
        done = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=directory,
                              input="\n".join(names).encode(), stdout=file)
    need(not done.returncode, "cannot make " + path)


def python_names(root):
    """Of the unpacked packages what python3 needs to run."""
    wanted = re.compile(r"(usr|bin|sbin|lib|lib64|etc|tmp|usr/bin|usr/lib)$|usr/bin/python3[.0-9]*$|"
                        r"(usr/)?lib64(/|$)|usr/lib/python3[.0-9]*(/|$)|etc/ld\.so|"
                        r"(usr/)?lib/x86_64-linux-gnu(/[^/]*)?$")
    names = []
    for directory, directories, files in os.walk(root):
        inside = os.path.relpath(directory, root)
        entries = [os.path.normpath(os.path.join(inside, name)) for name in directories + files]
        names += filter(wanted.match, entries)
        directories[:] = [name for name in directories
                          if wanted.match(os.path.normpath(os.path.join(inside, name)))]
    return sorted(names)


def shared_libraries(program):
    """{name: path} of what ldd says, with the dynamic linker as `loader`."""
    output = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    result = dict(re.findall(r"(\S+) => (/\S+)", output))
    result["loader"] = re.search(r"^\s*(/\S*/ld-\S+)", output, re.M).group(1)
    return result


def overlay(suite, task):
    """The folder of what comes from here: pyebpf with its libraries, and what tries it."""
    directory = os.path.join(WORK, suite + ".overlay")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory + "/pyebpf")
    library = os.path.join(directory, "pyebpf", "refuse.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library,
                    os.path.join(HERE, "refuse.c"), "-lbpf"], check=True)
    for name, path in {"pyebpf": PYEBPF, **shared_libraries(PYEBPF)}.items():
        shutil.copy(path, os.path.join(directory, "pyebpf", name))
    shutil.copy(os.path.join(HERE, "guest.py"), directory + "/init")
    os.chmod(directory + "/init", 0o755)
    shutil.copy(os.path.join(HERE, "workload.py"), directory)
    with open(directory + "/task.json", "w") as file:
        json.dump(task, file)
    return directory


def memory_image(suite, root, task):
    base = os.path.join(WORK, suite + ".cpio")
    if not os.path.exists(base):
        archive(root, python_names(root), base + ".new")
        os.rename(base + ".new", base)
    directory = overlay(suite, task)
    image = os.path.join(WORK, suite + ".image")
    names = [os.path.relpath(os.path.join(folder, name), directory)
             for folder, folders, files in os.walk(directory) for name in folders + files]
    archive(directory, names, image + ".overlay")
    with open(image, "wb") as whole:
        for part in (base, image + ".overlay"):
            with open(part, "rb") as file:
                shutil.copyfileobj(file, whole)
    return image


def host_khz():
    with open("/proc/cpuinfo") as file:
        return int(float(re.search(r"cpu MHz\s*: ([0-9.]+)", file.read()).group(1)) * 1000)


def machine_command(kernel, image):
    """Without the two tsc parameters emulated clocks tick every 4 ms, and some boots hang."""
    return ["qemu-system-x86_64", "-M", "microvm,rtc=on,pit=on,pic=on,isa-serial=on",
            "-nodefaults", "-serial", "stdio", "-accel", "tcg", "-cpu", "Haswell,-pcid",
            "-smp", "1", "-m", "1024", "-display", "none", "-no-reboot",
            "-kernel", kernel, "-initrd", image, "-append",
            "console=ttyS0 quiet panic=-1 tsc=reliable tsc_early_khz=%d" % host_khz()]


def run_machine(kernel, image, verbose):
    """What the guest sends. Its serial line is kept beside the image, as *.log."""
    log = open(image.replace(".image", ".log"), "wb")
    machine = subprocess.Popen(machine_command(kernel, image), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE)
    data, end = b"", time.monotonic() + MACHINE_TIMEOUT
    try:
        while b" END" not in data and time.monotonic() < end:
            if not select.select([machine.stdout], [], [], 1)[0]:
                continue
            part = os.read(machine.stdout.fileno(), 65536)
            if not part:
                break
            data += part
            log.write(part)
            log.flush()
            if verbose and b"RESULTS" not in data:
                sys.stderr.write(part.decode(errors="replace"))
    finally:
        machine.kill()
        machine.wait()
        machine.stdout.close()
        log.close()
    found = re.search(rb"RESULTS (\S+) END", data)
    need(found, "the machine came to no end, see " + log.name)
    return json.loads(zlib.decompress(base64.b64decode(found.group(1))))


# What must be true. -----------------------------------------------------------------------------
def verify_check(result, works):
    need(result["status"] == 0, "check exits with %d:\n%s" % (result["status"], result["output"]))
    for hook in HOOKS:
        line = re.search(r"^ +(ok|no|MISSING) +%s .*$" % hook, result["output"], re.M)
        need(line, "check says nothing of " + hook)
        need((line.group(1) == "ok") == (hook in works), "check: " + line.group(0).strip())


def waits_of(profile, function):
    """{state: [seconds, waits]} of the samples with the function on their stack."""
    states = {}
    for sample in profile.samples:
        if any(frame.name.split(".")[-1] == function for frame in sample.python):
            total = states.setdefault(sample.state, [0.0, 0])
            total[0] += sample.seconds
            total[1] += sample.waits
    return states


def verify_function(profile, name, count, miscounted):
    states, state = waits_of(profile, name), STATES[name]
    waits = states.get(state, [0, 0])[1]
    # A thread that has only just begun may wait for the interpreter's lock unrecognized.
    others = {key: total for key, total in states.items() if key not in ALWAYS | {state}}
    seconds = sum(total[0] for total in states.values())
    need(sum(total[0] for total in others.values()) <= 0.02 * seconds,
         "%s waits in %s, not only in %s" % (name, others, state))
    if name == "sleep_short":  # most are shorter than the period, so their place is an estimate
        need(abs(waits - count) <= 0.15 * count, "%s: %d waits, not %d" % (name, waits, count))
    else:
        need(abs(waits - count) <= miscounted, "%s: %d waits, not %d" % (name, waits, count))


def verify_thread(thread, truth):
    states = thread["states"]
    summed = sum(states.values())
    need(abs(summed - thread["seconds"]) <= 0.01 * thread["seconds"],
         "the ledger of thread %d does not close: %s" % (thread["tid"], thread))
    if truth:
        need(abs(states.get("running", 0) - truth["cpu"]) <= 0.05 * truth["cpu"] + 0.05,
             "%s: %.3f s running, its clock says %.3f" %
             (truth["function"], states.get("running", 0), truth["cpu"]))


def report_of(path):
    done = subprocess.run([PYEBPF, "report", path, "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def verify_record(hook, result, path):
    need(result["status"] == 0, "record by %s exits with %s: %s" %
         (hook, result["status"], result["errors"][-1000:]))
    need(result["in_time"], "the machine is too slow: the recording ended before the workload")
    with open(path, "wb") as file:
        file.write(base64.b64decode(result["recording"]))
    profile, report = pprof.Profile(path), report_of(path)
    used = re.search(r"(\S+/\S+)", str(report["environment"].get("wait_hook", ""))).group(1)
    need(used == hook, "the recording was made by %s, not by %s" % (used, hook))
    lost = {reason: count for reason, count in report["lost"].items() if count}
    missed, unread = lost.pop("recursion", 0), lost.pop("thread_state", 0)
    need(not lost and missed <= RECURSION_MAX[hook] and unread <= THREAD_STATE_MAX,
         "by %s lost: %s" % (hook, report["lost"]))
    miscounted = min(missed + unread, MISCOUNTED_MAX)
    threads = {thread["tid"]: thread for each in report["processes"] for thread in each["threads"]}
    truth = {int(tid): each for tid, each in result["truth"].items()}
    need(set(truth) <= set(threads), "threads are missing in the recording")
    for tid, thread in threads.items():
        verify_thread(thread, truth.get(tid))
    for each in truth.values():
        if each["function"] in STATES:
            verify_function(profile, each["function"], each["count"], miscounted)
    burned = waits_of(profile, "burn").get("running", [0])[0]
    clock = next(each["cpu"] for each in truth.values() if each["function"] == "burn")
    need(abs(burned - clock) <= 0.25 * clock, "burn ran %.2f s, its clock: %.2f" % (burned, clock))


def verify_refused(results):
    """A kernel that is too old: each command says so in one sentence, and fails."""
    need(results["check"]["status"] == 1 and "this kernel is too old" in
         results["check"]["output"], "check does not say so: " + results["check"]["output"])
    for result in results["records"].values():
        need(result["status"] == 1, "record exits with %s" % result["status"])
        sentence = result["errors"].strip()
        need(sentence.count("\n") == 0 and "this kernel is too old" in sentence,
             "record does not say that the kernel is too old: " + sentence)


def verify(suite, results):
    """Returns what the line of the kernel says."""
    release, works = SUITES[suite]
    need("failed" not in results, "in the machine: " + results.get("failed", ""))
    need(results["kernel"].startswith(release), "the kernel is " + results["kernel"])
    if works is None:
        verify_refused(results)
        return "refused as too old"
    verify_check(results["check"], works)
    for hook in works:
        name = "%s-%s.pb.gz" % (suite, HOOKS[hook])
        verify_record(hook, results["records"][hook], os.path.join(WORK, name))
    return "recorded by " + ", ".join(works)


def task_of(suite):
    """Which hooks to record by, and for each the better ones, that are to be refused."""
    works = SUITES[suite][1]
    ladder = list(HOOKS)
    if works is None:
        return {"seconds": SECONDS, "hooks": [(ladder[-1], [])]}
    return {"seconds": SECONDS, "hooks": [
        (hook, [HOOKS[better] for better in ladder[:ladder.index(hook)] if better in works])
        for hook in works]}


def run_suite(suite, verbose):
    root = unpack(suite)
    image = memory_image(suite, root, task_of(suite))
    results = run_machine(kernel_image(root), image, verbose)
    with open(os.path.join(WORK, suite + ".json"), "w") as file:
        json.dump(results, file, indent=1)
    what = "%-8s %-28s CPython %s" % (suite, results.get("kernel"), results.get("python"))
    try:
        print("ok      %s  %s" % (what, verify(suite, results)), flush=True)
    except Failure as failure:
        raise Failure("%s  %s" % (what, failure)) from failure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suites", metavar="SUITE", nargs="*", help=", ".join(SUITES))
    parser.add_argument("-v", "--verbose", action="store_true", help="show the serial line")
    arguments = parser.parse_args()
    for suite in arguments.suites:
        if suite not in SUITES:
            parser.error("there is no suite %s here, only: %s" % (suite, ", ".join(SUITES)))
    missing = sorted(package for tool, package in TOOLS.items() if not shutil.which(tool))
    if missing:
        sys.exit("run.py: missing packages: " + " ".join(missing))
    failed = False
    for suite in arguments.suites or SUITES:
        try:
            run_suite(suite, arguments.verbose)
        except Failure as failure:
            failed = True
            print("FAILED  %s" % failure, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
