# SPDX-License-Identifier: BSD-2-Clause
"""Measures what profiling costs and prints it as markdown: `make bench`, `make bench-peers`.

Owns which figures there are; how they are measured is in measure.py. Nothing here is a test: the
figures depend on the machine, and are written down in README.md beside this file.
"""
import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import measure
from measure import (KernelStatistics, Pyebpf, Target, harness, interpreters, percent, quartiles,
                     slowdown)

VERSIONS = [(3, 9), (3, 10), (3, 11), (3, 12), (3, 13), (3, 14), (3, 15)]
RATES = [99, 999]
DEPTHS = [20, 200]
LEVELS = 4  # of callbacks


def table(title, head, rows):
    print("\n### %s\n" % title)
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    sys.stdout.flush()


def available():
    """One interpreter of each version that is here: those in sid and of pyenv before others."""
    found = {}
    for each in interpreters.all_interpreters():
        try:
            if os.path.exists(each.outside(each.find())):
                found[each.version] = each
        except interpreters.Missing:
            pass
    return found


class Bench:
    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.versions = available()
        self.main = self.versions[(3, 11)] if (3, 11) in self.versions else \
            list(self.versions.values())[-1]

    def pyebpf(self, rate):
        return lambda: Pyebpf(self.directory, rate)

    def turns(self, kind, make, *arguments, **more):
        return slowdown(self.main, kind, make, self.options.turns, self.options.seconds,
                        *arguments, **more)

    # What the target pays ------------------------------------------------------------------------
    def cpu_bound(self):
        rows = []
        for depth in DEPTHS:
            for rate in RATES:
                ratios, runs, _ = self.turns("burn", self.pyebpf(rate), depth)
                rows.append([depth, rate, percent(ratios), own_cpu(runs), memory(runs)])
        table("Slowdown of a CPU-bound target (%s)" % self.main,
              ["depth", "Hz", "slowdown (quartiles)", "pyebpf's own CPU", "its memory"], rows)

    def blocking(self):
        rows = []
        for rate in RATES:
            ratios, runs, truth = self.turns("block", self.pyebpf(rate))
            rows.append(["%.0f" % truth["blocks_per_second"], rate, percent(ratios),
                         own_cpu(runs), memory(runs)])
        table("Slowdown of a target that blocks 20,000 times a second (%s)" % self.main,
              ["blocks/s", "Hz", "slowdown (quartiles)", "pyebpf's own CPU", "its memory"], rows)

    def others(self):
        """Two processes that are no targets, while an idle one is profiled."""
        with Target(self.main, "idle", cpu=-1) as idle:
            ratios, runs, truth = self.turns("switch", self.pyebpf(99), pid=idle.pid)
        extra = [(ratio - 1) * run["chunk"] / truth["switches"] * 1e9
                 for ratio, run in zip(ratios, runs)]
        low, median, high = quartiles(extra)
        whole = statistics.median(run["chunk"] for run in runs) / truth["switches"] * 1e9
        table("A process that is not a target pays for a context switch",
              ["a switch and its work", "more with pyebpf (quartiles)"],
              [["%.0f ns" % whole, "%+.0f ns (%+.0f … %+.0f)" % (median, low, high)]])

    # Many processes ------------------------------------------------------------------------------
    def crowd_run(self, command, arguments, seconds):
        """Starts a crowd, records, and returns (truth, report, costs)."""
        output = os.path.join(self.directory, "crowd.pb.gz")
        script = os.path.join(measure.HERE, "workloads", "crowd.py")
        with subprocess.Popen([self.main.find(), script, *map(str, command)], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
            assert crowd.stdout.readline() == "ready\n"
            started = time.monotonic()
            process = subprocess.Popen(
                [harness.PYEBPF, "record", *(str(each).replace("PID", str(crowd.pid))
                                             for each in arguments),
                 "-d", str(seconds), "-o", output, "-q"], stderr=subprocess.DEVNULL)
            harness.wait_for(lambda: harness.samples(process.pid), "the recording to start")
            costs = {"start": time.monotonic() - started}
            crowd.stdin.write("go\n")
            crowd.stdin.flush()
            time.sleep(2)
            first, at = measure.cpu_seconds(process.pid), time.monotonic()
            time.sleep(seconds - 4)
            costs["cpu"] = (measure.cpu_seconds(process.pid) - first) / (time.monotonic() - at)
            process.wait()
            costs["rss"] = harness.Recording(output).report["profiler"]["rss_bytes"]
            crowd.stdin.close()
            truth = json.loads(crowd.stdout.readline())
        return truth, harness.Recording(output).report, costs

    def many_processes(self):
        truth, report, costs = self.crowd_run(["many", 500, 10], ["-a"], 10)
        found = {process["pid"]: process for process in report["processes"]}
        counted = [found[pid] for pid in truth if pid in found]
        threads = sum(len(process["threads"]) for process in counted)
        table("500 Python processes with 10 threads each, most idle: `record -a`",
              ["processes found", "threads found", "sampling on after", "own CPU", "memory", "lost"],
              [[len(counted), threads, "%.2f s" % costs["start"], "%.2f %%" % (100 * costs["cpu"]),
                "%.0f MB" % (costs["rss"] / 1e6), losses(report)]])

    def many_forks(self):
        truth, report, costs = self.crowd_run(["forks", 1000, 30], ["-s", "-p", "PID"], 40)
        table("Forks that end at once: `record -s`",
              ["forks", "a second", "processes found", "own CPU", "memory", "lost"],
              [[truth["forks"], "%.0f" % (truth["forks"] / truth["seconds"]),
                len(report["processes"]) - 1 - truth["forkers"], "%.2f %%" % (100 * costs["cpu"]),
                "%.0f MB" % (costs["rss"] / 1e6), losses(report)]])

    def growing_memory(self):
        """With and without --memory: what it costs is the difference of the two."""
        rows = []
        for kind in ("objects", "touch"):
            for options in ((), ("--memory",)):
                ratios, runs, truth = self.turns(
                    kind, lambda: Pyebpf(self.directory, 99, *options))  # noqa: B023
                chunks = truth["chunks"]
                faults = truth["faults"] / sum(length for _, length in chunks)
                rows.append([kind, "%.0f" % faults, " ".join(options) or "without", percent(ratios),
                             own_cpu(runs), memory(runs)])
        table("Slowdown of a target whose memory grows, 99 Hz (%s)" % self.main,
              ["target", "page faults/s", "option", "slowdown (quartiles)", "pyebpf's own CPU",
               "its memory"], rows)

    def growth_time(self):
        """The program of --memory, of which there is a run for each page that is given."""
        rows = []
        for kind in ("objects", "touch"):
            with KernelStatistics(), Target(self.main, kind) as target:
                process = subprocess.Popen(
                    Pyebpf(self.directory, 99, "--memory").command(target.pid, 3),
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(1.0)
                first, burnt = (measure.program_times(process.pid),
                                measure.cpu_seconds(target.pid))
                time.sleep(1.5)
                last, until = measure.program_times(process.pid), measure.cpu_seconds(target.pid)
                process.wait()
            ns, runs = (sum(last[key][i] - first.get(key, (0, 0))[i]
                            for key in last if key[1] == "grow_memory") for i in (0, 1))
            rows.append([kind, runs, "%.0f ns" % (ns / max(runs, 1)),
                         "%.2f %%" % (ns / (until - burnt) / 1e7)])
        table("BPF time of --memory (bpf_stats' own floor included, samples too)",
              ["target", "runs in 1.5 s", "ns a run", "of the target's CPU time"], rows)

    # What the kernel says ------------------------------------------------------------------------
    def bpf_time(self):
        rows = []
        for version in VERSIONS:
            interpreter = self.versions.get(version)
            if not interpreter:
                continue
            for depth in DEPTHS:
                rows.append([interpreter, depth, *self.sample_cost(interpreter, depth)])
        table("BPF time of a sample of a running thread, by the kernel's bpf_stats (999 Hz)",
              ["interpreter", "depth", "µs a sample", "runs of the program", "expected"], rows)

    def native_time(self):
        """The limit is for 20 Python and 30 native frames; those of the interpreter count too."""
        rows = []
        for version in VERSIONS:
            interpreter = self.versions.get(version)
            if not interpreter:
                continue
            cost = self.sample_cost(interpreter, LEVELS, "callbacks")
            recording = Pyebpf(self.directory, 999).recording()
            rows.append([interpreter, *frames_by_kind(recording.running()), *cost])
        table("BPF time of a sample with native frames, by bpf_stats (999 Hz)",
              ["interpreter", "Python frames", "native frames shown", "µs a sample",
               "runs of the program", "expected"], rows)

    def sample_cost(self, interpreter, depth, kind="burn"):
        rate, seconds = 999, 3
        with KernelStatistics(), Target(interpreter, kind, depth) as target:
            profiler = Pyebpf(self.directory, rate)
            process = subprocess.Popen(profiler.command(target.pid, seconds),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(1.0)
            first, at = measure.program_times(process.pid), time.monotonic()
            time.sleep(1.5)
            last, until = measure.program_times(process.pid), time.monotonic()
            process.wait()
        ns, runs = (sum(last[key][i] - first.get(key, (0, 0))[i]
                        for key in last if key[0] == "perf_event") for i in (0, 1))
        # The target never sleeps, so it is sampled at the full rate; what ran elsewhere is charged
        # to it too: this is the upper bound.
        expected = (until - at) * rate
        return "%.2f" % (ns / expected / 1000), runs, "%.0f" % expected

    def hook_time(self):
        """All programs but the sampler, while nothing but strangers runs."""
        with KernelStatistics(), Target(self.main, "idle", cpu=-1) as idle, \
                Target(self.main, "switch") as switch:
            profiler = Pyebpf(self.directory, 99)
            process = subprocess.Popen(profiler.command(idle.pid, 3),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(1.0)
            first = measure.program_times(process.pid)
            time.sleep(1.5)
            last = measure.program_times(process.pid)
            process.wait()
            switch.stop()
        rows = []
        for key in sorted(last):
            ns, runs = (last[key][i] - first.get(key, (0, 0))[i] for i in (0, 1))
            if runs:
                rows.append([key[1], key[0], runs, "%.0f ns" % (ns / runs)])
        table("BPF programs while only strangers switch (bpf_stats' own floor included)",
              ["program", "type", "runs in 1.5 s", "ns a run"], rows)

    def native_tables(self):
        """From the command's start until each file that is mapped has its unwind table."""
        install_libraries()
        rows = []
        for kind in ("idle", "libraries"):
            interpreter = interpreters.of_machine()  # finds Debian's packages
            with Target(interpreter, kind, cpu=-1) as target:
                mapped = mapped_code(target.pid)
                runs = [self.tables_of(target.pid) for _ in range(5)]
            facts = runs[-1]
            ready = quartiles([1000 * each["tables_ready_s"] for each in runs])
            rows.append([kind, facts["tables"], "%.0f MB" % (mapped / 1e6),
                         "%.2f MB" % (facts["source_bytes"] / 1e6),
                         "%.2f MB" % (facts["table_bytes"] / 1e6),
                         "%.2f" % (facts["table_bytes"] / facts["source_bytes"]),
                         "%.0f ms (%.0f … %.0f)" % (ready[1], ready[0], ready[2])])
        table("Unwind tables", ["process", "files", "files' size", ".eh_frame", "tables", "ratio",
                                "all ready after (quartiles)"], rows)

    def tables_of(self, pid):
        profiler = Pyebpf(self.directory, 99)
        profiler.run(pid, 2)
        return profiler.recording().report["profiler"]["native"]

    # What pyebpf itself needs --------------------------------------------------------------------
    def start(self):
        rows = []
        for version in VERSIONS:
            interpreter = self.versions.get(version)
            if not interpreter:
                continue
            with Target(interpreter, "burn", 20) as target:
                times = [self.start_time(target.pid) * 1000 for _ in range(7)]
            low, median, high = quartiles(times)
            # A busy target's first sample follows within one period.
            rows.append([interpreter, "%.0f ms (%.0f … %.0f)" % (median, low, high),
                         "%.0f ms" % (median + 1000 / 99)])
        table("From the command's start", ["interpreter", "sampling on (quartiles)",
                                           "first sample at the latest"], rows)

    def start_time(self, pid):
        """Seconds until the sampling clocks of all CPUs are attached."""
        started = time.monotonic()
        process = subprocess.Popen(Pyebpf(self.directory, 99).command(pid, 1),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not harness.samples(process.pid):
            if process.poll() is not None:
                raise RuntimeError("pyebpf ended early")
            time.sleep(0.002)  # looking costs CPU, too
        result = time.monotonic() - started
        process.wait()
        return result

    # Others --------------------------------------------------------------------------------------
    def peers(self):
        measure.install_peers()
        for rate in RATES:
            rows = []
            for kind in [Pyebpf] + measure.PEER_PROFILERS:
                try:
                    rows.append(self.peer_row(kind, rate))
                except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                    reason = str(error).strip()[-200:].replace("\n", " ")
                    rows.append([kind.name, "failed: " + reason] + [""] * 6)
            table("The same target under each profiler, %d Hz (%s)" % (rate, self.main),
                  ["profiler", "slowdown, depth 20", "slowdown, depth 200", "own CPU", "memory",
                   "samples taken of expected", "lost", "worst error of a share"], rows)

    def peer_row(self, kind, rate):
        make = lambda: kind(self.directory, rate)  # noqa: E731
        shallow, _, _ = self.turns("burn", make, 20)
        deep, runs, _ = self.turns("burn", make, 200)
        with Target(self.main, "shares") as target:
            profiler, seconds = make(), 5
            profiler.run(target.pid, seconds)
            truth = target.stop()["seconds"]
        found, samples, lost = profiler.shares()
        whole, clock = sum(found.get(name, 0) for name in truth), sum(truth.values())
        error = max(abs(found.get(name, 0) / whole - value / clock)
                    for name, value in truth.items()) if whole else 1
        return [kind.name, percent(shallow), percent(deep), own_cpu(runs), memory(runs),
                "%d of %d" % (samples, rate * seconds), lost, "%.1f points" % (100 * error)]


def frames_by_kind(samples):
    """Median counts of Python and native frames of a sample."""
    counts = [(sum(frame.python for frame in sample.stack),
               sum(frame.native for frame in sample.stack)) for sample in samples]
    return [statistics.median(each) for each in zip(*counts)]


def install_libraries():
    """300 MB of native code, from Debian."""
    packages = ["python3-numpy", "python3-scipy", "python3-pandas", "libllvm14", "libclang-cpp14",
                "libclang1-14"]
    missing = [each for each in packages if subprocess.run(
        ["dpkg-query", "-W", each], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode]
    if missing:
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *missing],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def mapped_code(pid):
    """Bytes of the files that a process maps to execute."""
    with open("/proc/%d/maps" % pid) as file:
        paths = {line.split(None, 5)[5].strip() for line in file if "xp" in line.split()[1]
                 and len(line.split(None, 5)) > 5}
    return sum(os.path.getsize(path) for path in paths if os.path.exists(path))


def own_cpu(runs):
    return "%.2f %% of a CPU" % (100 * statistics.median(run["cpu"] for run in runs))


def memory(runs):
    return "%.1f MB" % (statistics.median(run["rss"] for run in runs) / 1e6)


def losses(report):
    lost = {reason: count for reason, count in report["lost"].items() if count}
    return ", ".join("%d %s" % (count, reason) for reason, count in lost.items()) or "nothing"


def heading(options):
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if "model name" in line), "?")
    print("Linux %s, %d CPUs (%s). %d turns of %d s each; medians." % (
        platform.release(), os.cpu_count(), model, options.turns, options.seconds))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true", help="compare with py-spy and austin")
    parser.add_argument("--turns", type=int, default=7, help="times the profiler is attached")
    parser.add_argument("--seconds", type=int, default=3, help="length of each")
    parser.add_argument("--only", action="append", help="a part: cpu_bound, blocking, others, "
                        "growing_memory, growth_time, many_processes, many_forks, bpf_time, native_time, "
                        "native_tables, hook_time, start")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("the benchmarks need root, as recording does")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    heading(options)
    with tempfile.TemporaryDirectory(prefix="pyebpf-bench-") as directory:
        bench = Bench(options, directory)
        parts = ["peers"] if options.peers else options.only or [
            "cpu_bound", "blocking", "others", "growing_memory", "growth_time", "many_processes",
            "many_forks", "bpf_time", "native_time", "native_tables", "hook_time", "start"]
        with KernelStatistics("0"):  # each part that needs them switches them on
            for part in parts:
                getattr(bench, part)()


if __name__ == "__main__":
    main()
