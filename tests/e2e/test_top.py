# SPDX-License-Identifier: BSD-2-Clause
"""pyebpf top: its figures against the workload's own clocks, its keys, and what it leaves behind."""
import os
import re
import shutil
import signal
import subprocess
import termios

import pytest

import harness
from screen import Screen, Terminal

COLUMNS = ["self", "total", "cpu", "queue", "io", "lock", "gil", "other", "idle", "self s", "total s"]


class Window:
    """One refresh, as -b prints it."""

    def __init__(self, text):
        self.lines = text.splitlines()
        self.seconds = float(re.search(r"last ([\d.]+) s$", self.lines[0]).group(1))
        names = next(index for index, line in enumerate(self.lines)
                     if line.startswith("  self total"))
        sums = next(line for line in self.lines if line.startswith("All: "))
        self.all = {name: float(share) for name, share in re.findall(r"(\w+) ([\d.]+)", sums)}
        self.rows = {}
        for line in self.lines[names + 1:]:
            *numbers, name = line.split(None, len(COLUMNS))
            self.rows[name] = dict(zip(COLUMNS, map(float, numbers)))

    def find(self, start):
        return [row for name, row in self.rows.items() if name.startswith(start)]


def windows(text):
    return [Window(part) for part in text.rstrip("\n").split("\n\n")]


def seconds_of(every, function, column):
    return sum(row[column] / 100 * window.seconds
               for window in every for row in window.find(function + " ("))


def watch_whole(interpreter, script, *options):
    """(windows, truth) of a workload's whole life; top ends with it."""
    outside, inside = interpreter.share("top-" + interpreter.name)
    command = interpreter.command(script, "--directory", inside)
    with harness.Workload(command) as workload:
        top = subprocess.Popen(
            [harness.PYEBPF, "top", "-b", "--idle", "-i", "0.5", "-p", str(workload.pid), *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            harness.wait_for(lambda: harness.samples(top.pid) or top.poll() is not None, "top")
            open(os.path.join(outside, "go"), "w").close()
            output, errors = top.communicate(timeout=60)
        finally:
            top.kill()
        assert top.returncode == 0, errors
        truth = workload.stop()
    shutil.rmtree(outside)
    return windows(output), truth


@pytest.fixture(scope="module")
def watched(core_interpreter):
    return watch_whole(core_interpreter, "live.py")


@pytest.mark.parametrize("function, column", [
    ("long_receive", "io"), ("long_lock", "lock"), ("long_sleep", "idle")])
def test_a_long_wait_is_in_every_window_with_its_part(watched, function, column):
    every, truth = watched
    watches = truth["watches"]
    away = watches[function]["elapsed"]
    # What is not in the wait itself: the interpreter's lock, and a CPU, after it.
    assert seconds_of(every, function, column) == pytest.approx(away, rel=0.02, abs=0.05)
    shares = [row[column] for window in every for row in window.find(function + " (")]
    shares = [share for share in shares if share > 1]
    # All windows but the first and the last are of the wait alone. Threads are looked at one after
    # the other: where that is interrupted, a thread's time is of a little more or less.
    assert len(shares) >= 3 and all(share <= 105 for share in shares), shares
    assert all(share >= 95 for share in shares[1:-1]), shares


def test_burnt_time_is_the_threads_own_clock(watched):
    every, truth = watched
    watches = truth["watches"]
    long, short = watches["long_burn"]["cpu"], watches["short_burn"]["cpu"]
    # Each of twenty threads lives for some milliseconds and has a few samples at most: how much of
    # them is the function, and how much the thread's beginning, is known only by these.
    assert abs(seconds_of(every, "burn", "cpu") - long - short) <= 0.02 * long + 0.2 * short


def test_all_cpu_time_is_the_process_own_clock(watched):
    every, truth = watched
    whole = sum(window.all["cpu"] / 100 * window.seconds for window in every)
    # Before "go" the workload looks for the file a hundred times a second.
    assert -0.01 <= whole - truth["cpu"] <= 0.03 * truth["cpu"] + 0.1


def test_short_sleeps_add_up(watched):
    every, truth = watched
    watches = truth["watches"]
    watch = watches["short_sleeps"]
    # Beside sleeping the thread runs, and waits for a CPU and the interpreter's lock.
    whole = sum(row["self s"] for window in every for row in window.find("short_sleeps ("))
    assert whole == pytest.approx(watch["elapsed"], rel=0.08, abs=0.05)
    assert seconds_of(every, "short_sleeps", "idle") >= 0.85 * 300 * 0.003


def test_the_time_that_the_gil_is_held(interpreter):
    """It is that of the thread that runs Python, not of the one that hashes without the GIL."""
    every, truth = watch_whole(interpreter, "held.py", "-r", "999")
    held = sum(window.all["held"] / 100 * window.seconds for window in every)
    truths = {name: watch["cpu"] for name, watch in truth["watches"].items()}
    # The share of 1,500 samples is known to 0.013 (one sigma); beside the two threads the
    # interpreter starts and ends threads, with the GIL, for some milliseconds.
    whole = truths["with_it"] + truths["without_it"]
    assert abs(held - truths["with_it"]) <= 0.04 * whole + 0.02, (held, truths)


def test_the_threads_sum_is_the_wall_time(watched):
    """No window has more time than its threads have lived: the main thread lives in all of them."""
    every, _ = watched
    for window in every[:-1]:
        own = sum(row["self"] for row in window.rows.values())
        whole = sum(share for name, share in window.all.items() if name not in ("gc", "held"))
        assert whole >= 95, window.lines
        assert own == pytest.approx(whole, abs=2 + 0.01 * whole), window.lines


@pytest.fixture(scope="module")
def target(python):
    with harness.Workload(python.command("gil.py")) as workload:
        yield workload


def top(target, *arguments, **options):
    return Screen("top", "-p", target.pid, "-i", "0.3", *arguments, **options)


def test_the_screen(target):
    with top(target) as screen:
        lines = screen.shows("burn (gil.py:9)")
        assert "gil.py  pid %d  CPython 3.11" % target.pid in lines[0]
        assert re.search(r"  last \d\.\d\d s *$", lines[0])
        assert re.search(r"\bGIL\b", "".join(lines[1:3]))
        text = "\n".join(lines)
        assert re.search(r"All: cpu [\d.]+ +queue [\d.]+ +io .* gil [1-9]\d.* held [1-9].* %", text), text
        assert re.search(r"pyebpf: [\d.]+ % of a CPU, \d+ MB, .*Lost: nothing", text), text
        assert "  self total   cpu queue    io  lock   gil  function (file:line)" in text
        assert all(len(line) <= 80 for line in lines)
        screen.press("q")
        assert screen.status() == 0


def test_views_and_order(target):
    with top(target) as screen:
        screen.shows("burn (gil.py:9)")
        screen.press("t")
        screen.shows("thread id")
        assert re.search(r"\d+ (gil|running|runqueue) burn \(gil.py:1[0-3]\)", screen.text())
        screen.press("l")
        screen.shows("line (file:line)")
        screen.shows("burn (gil.py:1")
        screen.press("p")
        screen.shows("%d gil.py" % target.pid)
        screen.press("f")
        screen.press("9")  # by name
        names = [line[44:].split(" (")[0] for line in screen.shows("function (file:line)")
                 if ".py:" in line]
        assert names == sorted(names) and len(names) > 3
        screen.press("R")
        first = names[0]
        harness.wait_for(lambda: first not in screen.lines()[6], "the reverse order")


def test_filter_help_and_idle(target):
    with top(target) as screen:
        screen.shows("burn (gil.py:9)")
        screen.press("/", "second", "Enter")
        screen.shows("[second]")
        harness.wait_for(lambda: "burn_first" not in screen.text(), "the filter")
        assert "burn_second" in screen.text()
        screen.press("Escape")
        screen.shows("burn_first")
        screen.press("?")
        screen.shows("any key goes back")
        screen.press("x")
        screen.shows("burn (gil.py:9)")
        assert "<module>" not in screen.text() or "main (" in screen.text()
        screen.press("t", "i")  # the main thread sleeps
        screen.shows("%d sleep main" % target.pid)
        screen.resize(100, 24)
        screen.shows("%d sleep main (gil.py:" % target.pid)


def test_all_since_the_start_and_reset(target):
    def length():
        return float(re.search(r"all of ([\d.]+) s", screen.text()).group(1))

    with top(target) as screen:
        screen.shows("burn (gil.py:9)")
        screen.press("s")
        screen.shows("all of")
        harness.wait_for(lambda: length() > 2, "two seconds")
        assert re.search(r" [1-9]\.\d\d  burn \(gil.py:9\)", screen.text())
        screen.press("r")
        harness.wait_for(lambda: length() < 1, "the reset")


def test_pause(target):
    with top(target) as screen:
        screen.shows("burn (gil.py:9)")
        screen.press("Space")
        before = screen.shows("paused")
        with pytest.raises(AssertionError):  # six refreshes later it is still the same
            harness.wait_for(lambda: screen.lines() != before, "a change", 2)
        screen.press("Space")
        # What happened meanwhile is in the window that ends now.
        harness.wait_for(lambda: re.search(r"last [2-9]\.", screen.text()), "the long window")


@pytest.mark.parametrize("size", [(40, 12), (20, 5), (8, 2), (200, 50)])
def test_resize(target, size):
    with top(target) as screen:
        screen.shows("burn (gil.py:9)")
        screen.resize(*size)
        harness.wait_for(lambda: len(screen.lines()) - 1 == size[1], "the size")
        if size[0] >= 20:
            screen.shows("burn")
        screen.resize(80, 24)
        screen.shows("burn (gil.py:9)")
        screen.shows("q quit")


def test_several_processes(target, python):
    with harness.Workload(python.command("threads.py")) as other:
        with top(target, "-p", other.pid) as screen:
            screen.shows("2 processes")
            screen.shows("%d gil.py " % target.pid)
            screen.shows("%d threads.py " % other.pid)
            screen.shows("burn (gil.py:9)")
            screen.shows("blocked_in_socket (threads.py:")


def test_the_target_ends(python):
    with harness.Workload(python.command("gil.py")) as workload:
        with top(workload) as screen:
            screen.shows("burn (gil.py:9)")
            workload.stop()
            screen.shows("The process has ended.")
            screen.press("l")  # what was seen last can be looked at
            screen.shows("line (file:line)")
            screen.press("q")
            assert screen.status() == 0


@pytest.mark.parametrize("end", [b"q", b"\x03", signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_terminal_is_given_back(target, end):
    with Terminal("top", "-p", target.pid, "-i", "0.3") as terminal:
        terminal.shows(b"burn")
        if isinstance(end, bytes):
            terminal.press(end)
        else:
            terminal.process.send_signal(end)
        assert terminal.status() == 0
        assert terminal.restored()


@pytest.mark.parametrize("end", [signal.SIGSEGV, signal.SIGABRT])
def test_the_terminal_is_given_back_by_a_crash(target, end):
    with Terminal("top", "-p", target.pid, "-i", "0.3") as terminal:
        terminal.shows(b"burn")
        terminal.process.send_signal(end)
        assert terminal.status() == -end
        assert terminal.restored()


def coloured(output):
    return re.search(rb"\x1b\[[0-9;]*\b[349][0-7]m", output)


def test_no_colour_where_none_is_wanted(target):
    outputs = []
    for environment in ({}, {"NO_COLOR": "1"}):
        with Terminal("top", "-p", target.pid, "-i", "0.3", **environment) as terminal:
            terminal.shows(b"burn")
            terminal.press(b"q")
            assert terminal.status() == 0
            outputs.append(terminal.output)
    assert coloured(outputs[0])
    assert not coloured(outputs[1])


@pytest.mark.parametrize("name", ["no-such-terminal", "dumb", ""])
def test_a_terminal_without_a_screen(target, name):
    with Terminal("top", "-p", target.pid, TERM=name) as terminal:
        assert terminal.status() == 1
        assert b"-b" in terminal.output and b"`%s`" % name.encode() in terminal.output
        assert b"\x1b" not in terminal.output


@pytest.mark.parametrize("name", ["xterm", "xterm-256color", "screen", "tmux-256color", "linux",
                                  "vt100"])
def test_usual_terminals(target, name):
    with Terminal("top", "-p", target.pid, "-i", "0.3", TERM=name) as terminal:
        terminal.shows(b"burn (gil.py:9)")
        terminal.press(b"q")
        assert terminal.status() == 0
        assert termios.tcgetattr(terminal.slave) == terminal.before


def test_stopped_by_a_key_and_continued(target):
    """The shell gets its terminal as it was, and top its screen again."""
    with Screen("top", "-p", target.pid, "-i", "0.3", shell=True) as screen:
        screen.shows("burn (gil.py:9)")
        screen.press("C-z")
        screen.shows("Stopped")
        assert "burn" not in screen.text()
        screen.press("stty -a | grep -o ' echo ' | sed 's/ echo /modes are/'", "Enter")
        screen.shows("modes are\n")
        screen.press("fg", "Enter")
        screen.shows("burn (gil.py:9)")
        screen.press("q")
        harness.wait_for(lambda: "burn" not in screen.text(), "the shell")


def test_names_of_any_script_and_length(python):
    """Wide characters, marks that combine, and names longer than the screen."""
    with harness.Workload(python.command("scripts.py")) as workload:
        for environment in ([], ["LC_ALL=C"]):
            with top(workload, columns=60, environment=environment) as screen:
                lines = screen.shows("\u8a08\u7b97")
                assert all(len(line) <= 60 for line in lines)
                assert any("\u2026" in line and "very_long" in line for line in lines)
                screen.press("q")


def test_moving_through_many_rows(python):
    """The page keys, Home and End."""
    with harness.Workload(python.command("scripts.py", "--rows", "60")) as workload:
        with top(workload, "--sort", "name", "--filter", "row_") as screen:
            def first():
                found = re.search(r"row_(\d\d) \(", screen.text())
                return found and found.group(1)

            harness.wait_for(lambda: first() == "00", "the first row")
            page = len(re.findall(r"row_\d\d \(", screen.text()))
            for key, row in [("Down", 1), ("NPage", page), ("Up", page - 1), ("PPage", 0),
                             ("End", 60 - page), ("Home", 0)]:
                screen.press(key)
                harness.wait_for(lambda: first() == "%02d" % row, key)


def test_without_a_terminal(target):
    done = harness.run("top", "-p", target.pid)
    assert done.returncode == 1 and done.stdout == ""
    assert "-b" in done.stderr and "record" in done.stderr


def test_batch(target):
    done = harness.run("top", "-p", target.pid, "-b", "-c", "2", "-i", "0.3", "--view", "thread",
                       "--sort", "gil")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("thread id") == 2
    assert "\x1b" not in done.stdout


def test_wrong_arguments(target):
    for arguments in ([], ["-p", "x"], ["-p", target.pid, "--view", "x"],
                      ["-p", target.pid, "-i", "0"], ["-p", target.pid, "more"]):
        assert harness.run("top", *arguments).returncode == 2, arguments
    done = harness.run("top", "-b", "-p", "2147483647")
    assert done.returncode == 1 and "2147483647" in done.stderr
