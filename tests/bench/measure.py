# SPDX-License-Identifier: BSD-2-Clause
"""How the benchmarks measure: targets that time their own work, profilers on and off in turns.

The machine changes more between two runs than most profilers cost. So one process does the same
chunk of work for ever, the profiler is attached to it again and again, and the chunks that lie
inside its time are compared with those just before and after. A figure is the median over such
turns, its spread the quartiles.
"""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

import harness  # noqa: E402
import interpreters  # noqa: E402

BUSY_CPU = max(os.sched_getaffinity(0))
OTHER_CPUS = (os.sched_getaffinity(0) - {BUSY_CPU}) or {BUSY_CPU}


class Target(harness.Workload):
    """tests/bench/workloads/chunks.py under an interpreter, pinned to one CPU."""

    def __init__(self, interpreter, kind, *arguments, cpu=BUSY_CPU):
        path = interpreter.find()
        script, prefix = os.path.join(HERE, "workloads", "chunks.py"), []
        if interpreter.root:
            shutil.copy(script, interpreter.outside("/tmp/chunks.py"))
            script, prefix = "/tmp/chunks.py", ["chroot", interpreter.root]
        super().__init__(prefix + [path, "-B", script, kind, str(cpu), *map(str, arguments)])


class Profiler:
    """One run of a profiler on a target. Subclasses say how it is called and read."""

    name = ""
    endings = (0,)  # exit statuses when all went well
    settle = 0.5  # seconds from its start until it surely works

    def __init__(self, directory, rate):
        self.directory, self.rate = directory, rate
        self.output = os.path.join(directory, self.name + ".out")

    def command(self, pid, seconds):
        raise NotImplementedError

    def shares(self):
        """Self shares of heavy, medium and light, and the samples it took and lost."""
        raise NotImplementedError

    def run(self, pid, seconds):
        """Returns its times and costs as a dictionary; ends when the profiler does."""
        if os.path.exists(self.output):
            os.unlink(self.output)
        log = open(os.path.join(self.directory, self.name + ".log"), "w+")
        wall, started = time.time(), time.monotonic()
        process = subprocess.Popen(self.command(pid, seconds), stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=subprocess.STDOUT)
        os.sched_setaffinity(process.pid, OTHER_CPUS)
        time.sleep(self.settle)
        first, at = cpu_seconds(process.pid), time.monotonic()
        time.sleep(max(0.1, started + seconds - 0.2 - time.monotonic()))
        last, until = cpu_seconds(process.pid), time.monotonic()
        memory = peak_memory(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        self.log = log.read()
        log.close()
        if process.returncode not in self.endings:
            raise RuntimeError("%s failed: %s" % (self.name, self.log[-800:]))
        return {"wall": wall, "from": at, "until": until, "ended": time.monotonic(),
                "cpu": (last - first) / (until - at), "cpu_whole": usage.ru_utime + usage.ru_stime,
                "rss": memory}


def cpu_seconds(pid):
    """CPU time of a process's threads, to the nanosecond (the scheduler's own count)."""
    total, directory = 0, "/proc/%d/task" % pid
    try:
        for tid in os.listdir(directory):
            with open("%s/%s/schedstat" % (directory, tid)) as file:
                total += int(file.read().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total / 1e9


def peak_memory(pid):
    """Bytes. Not ru_maxrss: that counts what this process had when it forked."""
    try:
        with open("/proc/%d/status" % pid) as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except (FileNotFoundError, ProcessLookupError, StopIteration):
        return 0


class Pyebpf(Profiler):
    name = "pyebpf"

    def __init__(self, directory, rate, *options):
        super().__init__(directory, rate)
        self.options = options

    def command(self, pid, seconds):
        return [harness.PYEBPF, "record", "-p", str(pid), "-d", str(seconds), "-r",
                str(self.rate), "-o", self.output + ".pb.gz", "-q", *self.options]

    def recording(self):
        return harness.Recording(self.output + ".pb.gz")

    def shares(self):
        report = self.recording().report
        seconds = {each["function"]: each["self"].get("running", 0)
                   for each in report["functions"]}
        return seconds, report["profiler"]["samples"], sum(report["lost"].values())


class PySpy(Profiler):
    name = "py-spy"
    settle = 1.0

    def command(self, pid, seconds):
        return [os.path.join(PEERS, "bin", "py-spy"), "record", "-p", str(pid), "-d", str(seconds),
                "-r", str(self.rate), "-f", "raw", "-o", self.output]

    def shares(self):
        seconds, _ = collapsed(self.output, lambda frame: frame.split(" (")[0])
        errors = re.search(r"Errors: (\d+)", self.log)
        return seconds, sum(seconds.values()), int(errors.group(1)) if errors else None


class PySpyNonblocking(PySpy):
    name = "py-spy --nonblocking"

    def command(self, pid, seconds):
        return super().command(pid, seconds) + ["--nonblocking"]


class Austin(Profiler):
    name = "austin"
    endings = (0, 254)  # 254: the time given was over
    settle = 1.0

    def command(self, pid, seconds):
        return runnable(os.path.join(PEERS, "bin", "austin")) + [
            "-i", str(1000000 // self.rate), "-x", str(seconds), "-o", self.output, "-p", str(pid)]

    def shares(self):
        """Its samples are binary; converted, each is a line that ends in microseconds."""
        text = self.output + ".txt"
        subprocess.run([os.path.join(PEERS, "bin", "mojo2austin"), self.output, text], check=True,
                       stdout=subprocess.DEVNULL)
        seconds, samples = collapsed(text, lambda frame: frame.rsplit(":", 2)[-2])
        with open(text, errors="replace") as file:
            errors = re.search(r"^# errors: (\d+)/", file.read(), re.MULTILINE)
        return seconds, samples, int(errors.group(1)) if errors else None


def runnable(program):
    """The command for a program; by Debian sid's loader if it needs a newer libc than there is."""
    if subprocess.run([program, "--version"], stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL).returncode == 0:
        return [program]
    interpreters.unpack_sid()
    library = "%s/usr/lib/%s-linux-gnu" % (interpreters.SID, os.uname().machine)
    loader = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}
    return [os.path.join(library, loader[os.uname().machine]), "--library-path", library, program]


PEERS = os.environ.get("PYEBPF_PEERS") or os.path.join(tempfile.gettempdir(), "pyebpf-peers")
PEER_PROFILERS = [PySpy, PySpyNonblocking, Austin]


def install_peers():
    """py-spy and austin, outside the tree."""
    if os.path.exists(PEERS + "/complete"):
        return
    subprocess.run(["/usr/bin/python3", "-m", "venv", PEERS], check=True)
    subprocess.run([PEERS + "/bin/pip", "install", "--quiet", "--disable-pip-version-check",
                    "py-spy", "austin-dist", "austin-python"], check=True)
    open(PEERS + "/complete", "w").close()


def collapsed(path, name_of):
    """{innermost function: sum of weights}, and how many lines there are."""
    seconds, samples = {}, 0
    with open(path, errors="replace") as file:
        for line in file:
            line = line.rstrip("\n")
            if not line or line.startswith("#") or ";" not in line or " " not in line:
                continue
            stack, weight = line.rsplit(" ", 1)
            if not weight.isdigit():
                continue
            try:
                leaf = name_of(stack.rsplit(";", 1)[1])
            except IndexError:
                continue
            seconds[leaf] = seconds.get(leaf, 0) + int(weight)
            samples += 1
    return seconds, samples


def typical(values):
    """Mean of the middle half: without what the rest of the machine did."""
    values = sorted(values)
    cut = len(values) // 4
    return statistics.fmean(values[cut:len(values) - cut])


def slowdown(interpreter, kind, make_profiler, turns, seconds, *arguments, pid=None):
    """Runs the profiler on a target in turns; returns ([ratio of time per chunk], runs, truth).

    `pid`: of another process to attach to, instead of the target that is timed.
    """
    runs, gap = [], seconds / 2
    with Target(interpreter, kind, *arguments) as target:
        time.sleep(0.5)
        for _ in range(turns):
            time.sleep(gap)
            began = time.monotonic()
            profiler = make_profiler()
            run = profiler.run(pid or target.pid, seconds)
            run["began"] = began
            runs.append(run)
        time.sleep(gap)
        truth = target.stop()
    chunks = truth["chunks"]

    def between(start, end):
        return [length for at, length in chunks if at >= start and at + length <= end]

    ratios = []
    for run in runs:
        on = between(run["from"], run["until"])
        off = between(run["began"] - gap + 0.1, run["began"]) + \
            between(run["ended"] + 0.1, run["ended"] + gap)
        ratios.append(typical(on) / typical(off))
        run["chunk"] = typical(off)
    return ratios, runs, truth


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


def percent(ratios):
    low, median, high = (100 * (value - 1) for value in quartiles(ratios))
    return "%+.2f %% (%+.2f … %+.2f)" % (median, low, high)


# The kernel's own statistics of BPF programs. ---------------------------------------------------
STATISTICS = "/proc/sys/kernel/bpf_stats_enabled"


class KernelStatistics:
    """bpf_stats_enabled for the time of a block; off elsewhere, since it costs by itself."""

    def __init__(self, value="1"):
        self.value = value

    def __enter__(self):
        with open(STATISTICS) as file:
            self.before = file.read()
        with open(STATISTICS, "w") as file:
            file.write(self.value)

    def __exit__(self, *_):
        with open(STATISTICS, "w") as file:
            file.write(self.before)


def program_times(pid):
    """{(type, name): (ns, runs)} of the BPF programs that a process holds, by its descriptors."""
    bpftool = shutil.which("bpftool") or "/usr/sbin/bpftool"
    shown = json.loads(subprocess.run([bpftool, "prog", "show", "-j"], check=True,
                                      stdout=subprocess.PIPE).stdout)
    held, directory = set(), "/proc/%d/fdinfo" % pid
    for descriptor in os.listdir(directory):
        try:
            with open(os.path.join(directory, descriptor)) as file:
                held.update(int(line.split()[1]) for line in file if line.startswith("prog_id:"))
        except FileNotFoundError:
            pass
    result = {}
    for program in shown:
        if program["id"] in held:
            key = program["type"], program.get("name", str(program["id"]))
            ns, runs = result.get(key, (0, 0))
            result[key] = (ns + program.get("run_time_ns", 0), runs + program.get("run_cnt", 0))
    return result
