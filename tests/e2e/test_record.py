# SPDX-License-Identifier: BSD-2-Clause
"""How a recording starts and ends, and what is said when it cannot."""
import contextlib
import os
import pty
import re
import signal
import subprocess
import time

import pytest

import harness
from interpreters import unsupported

SECONDS_TO_REFUSE = 3  # a refusal must come before anything was recorded


def refuse(*arguments, **options):
    """Runs a command that must fail at once with a sentence; returns the sentence."""
    started = time.monotonic()
    done = harness.run(*arguments, **options)
    assert done.returncode > 0, done
    assert time.monotonic() - started < SECONDS_TO_REFUSE
    assert done.stderr.strip(), "nothing was said"
    assert len(done.stderr.splitlines()) <= 15, done.stderr
    return done.stderr


@pytest.fixture
def workload(python):
    with harness.Workload(python.command("stacks.py")) as process:
        yield process


# Targets ----------------------------------------------------------------------------------------
def test_no_such_process(tmp_path):
    output = tmp_path / "x.pb.gz"
    text = refuse("record", "-p", 4194000, "-d", "5", "-o", output)
    assert "4194000" in text and "no process" in text.lower().replace("such ", "")
    assert not output.exists()


def test_not_python(tmp_path):
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            text = refuse("record", "-p", process.pid, "-d", "5", "-o", tmp_path / "x.pb.gz")
        finally:
            process.kill()
    assert str(process.pid) in text and "not a CPython process" in text and "sleep" in text


@pytest.mark.skipif(not unsupported(), reason="no CPython 3.6 on this machine")
def test_unsupported_version(tmp_path):
    with harness.Workload(unsupported().command("gil.py")) as workload:
        text = refuse("record", "-p", workload.pid, "-d", "5", "-o", tmp_path / "x.pb.gz")
    assert str(workload.pid) in text and "3.6" in text and "not supported" in text


def test_kernel_thread(tmp_path):
    assert "2" in refuse("record", "-p", 2, "-d", "5", "-o", tmp_path / "x.pb.gz")


def test_thread_instead_of_process(python, tmp_path):
    with harness.Workload(python.command("gil.py")) as workload:
        tids = [int(name) for name in os.listdir("/proc/%d/task" % workload.pid)]
        tid = max(tids)
        assert tid != workload.pid
        assert str(tid) in refuse("record", "-p", tid, "-d", "5", "-o", tmp_path / "x.pb.gz")


def test_several_processes(python, tmp_path):
    with harness.Workload(python.command("stacks.py")) as one, \
            harness.Workload(python.command("identity.py")) as two:
        path = str(tmp_path / "two.pb.gz")
        done = harness.run("record", "-p", one.pid, "-p", two.pid, "-d", "2", "-r", "199", "-o",
                           path, "-q")
        assert done.returncode == 0, done.stderr
        recording = harness.Recording(path)
    assert {each["pid"] for each in recording.report["processes"]} == {one.pid, two.pid}
    for sample in recording.running():
        files = {os.path.basename(frame.file) for frame in sample.python}
        assert ("stacks.py" in files) == (sample.labels["pid"] == one.pid)
        assert ("identity.py" in files) == (sample.labels["pid"] == two.pid)


def test_command_that_is_not_there(tmp_path):
    text = refuse("record", "-o", tmp_path / "x.pb.gz", "--", "/nonexistent/program")
    assert "/nonexistent/program" in text


def test_command_that_is_not_python(tmp_path):
    done = harness.run("record", "-o", tmp_path / "x.pb.gz", "--", "true")
    assert done.returncode >= 0 and done.stderr.strip()
    assert "Python" in done.stderr + done.stdout


def test_command_gets_its_arguments_and_output(python, tmp_path):
    script = "import sys; print('ready', sys.argv[1:])"
    done = harness.run("record", "-q", "-o", tmp_path / "x.pb.gz", "--", python.find(), "-c",
                       script, "-x", "a b", "--", "-d")
    assert "ready ['-x', 'a b', '--', '-d']" in done.stdout, done


# Flags ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("flags, word", [
    (["-r", "0"], "0"), (["-r", "-5"], "-5"), (["-r", "fast"], "fast"),
    (["-r", "1000000000"], "1000000000"), (["-r", ""], ""), (["-r", "99x"], "99x"),
    (["-d", "0"], "0"), (["-d", "-1"], "-1"), (["-d", "soon"], "soon"), (["-d", "nan"], "nan"),
    (["-f", "bitmap"], "bitmap"), (["--no-such-flag"], "no-such-flag"),
])
def test_wrong_flag_values(workload, tmp_path, flags, word):
    path = tmp_path / "x.pb.gz"
    assert word in refuse("record", "-p", workload.pid, "-o", path, *flags)
    assert not path.exists()


@pytest.mark.parametrize("pid", ["0", "-1", "abc", "12x", "", "99999999999999999999"])
def test_wrong_pids(tmp_path, pid):
    assert pid in refuse("record", "-p", pid, "-d", "5", "-o", tmp_path / "x.pb.gz")


def test_no_target():
    assert re.search("-p|COMMAND", refuse("record", "-d", "1"))


def test_two_kinds_of_target(workload):
    refuse("record", "-p", workload.pid, "--", "true")


def test_unknown_command():
    assert "destroy" in refuse("destroy")


def test_no_command():
    refuse()


@pytest.mark.parametrize("arguments", [["--help"], ["record", "--help"], ["report", "--help"],
                                       ["check", "--help"], ["--version"]])
def test_help(arguments):
    done = harness.run(*arguments)
    assert done.returncode == 0 and "pyebpf" in done.stdout


# Rights -----------------------------------------------------------------------------------------
def test_no_rights(nobody, workload):
    done = subprocess.run(nobody("record", "-p", workload.pid, "-d", "5", "-o", "/tmp/none.pb.gz"),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode > 0
    assert "CAP_" in done.stderr or "root" in done.stderr, done.stderr


def test_check_without_rights(nobody):
    done = subprocess.run(nobody("check"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=30)
    assert done.returncode > 0
    assert "CAP_" in done.stdout + done.stderr, done


# Outputs ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("output", ["/nonexistent/directory/x.pb.gz", "/tmp", "/proc/x.pb.gz"])
def test_output_that_cannot_be_written(workload, output):
    assert output in refuse("record", "-p", workload.pid, "-d", "10", "-o", output)


@contextlib.contextmanager
def small_file_system(directory):
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def test_disk_full_at_the_end(workload, tmp_path):
    with small_file_system(tmp_path / "small") as small:
        output = small / "x.pb.gz"
        with harness.Recorder("-p", workload.pid, "-d", "2", "-r", "999", "-o", output,
                              "-q") as recorder:
            recorder.wait_started()
            with open(str(small / "filler"), "wb", buffering=0) as filler:
                with contextlib.suppress(OSError):
                    while filler.write(b"x" * 4096):
                        pass
            done = recorder.wait()
        assert done.returncode > 0, "it is an error"
        assert str(output) in done.stderr
        kept = [path for path in re.findall(r"/[^\s'\",;)]+", done.stderr)
                if path.rstrip(".:") != str(output) and os.path.isfile(path.rstrip(".:"))]
        assert kept, "it says where the data is: " + done.stderr
        recording = harness.Recording(kept[-1].rstrip(".:"))
        os.unlink(kept[-1].rstrip(".:"))
    assert recording.function("heavy")["self"]["running"] > 0


def test_an_existing_file_is_kept_when_nothing_is_recorded(tmp_path):
    path = tmp_path / "old.pb.gz"
    path.write_bytes(b"old")
    refuse("record", "-p", 4194000, "-d", "5", "-o", path)
    assert path.read_bytes() == b"old"


# Ends -------------------------------------------------------------------------------------------
def recorded_until(workload, tmp_path, end):
    path = str(tmp_path / "ended.pb.gz")
    with harness.Recorder("-p", workload.pid, "-r", "199", "-o", path) as recorder:
        recorder.wait_started()
        # Something must have been recorded: wait until the target has used half a second of CPU.
        before = cpu_of(workload.pid)
        harness.wait_for(lambda: cpu_of(workload.pid) > before + 0.5, "the target to burn")
        end(recorder.process)
        done = recorder.wait(timeout=20)
    return done, harness.Recording(path)


def cpu_of(pid):
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_it_in_order(workload, tmp_path, number):
    done, recording = recorded_until(workload, tmp_path, lambda it: it.send_signal(number))
    assert done.returncode == 0, done
    assert "heavy" in done.stdout and "self s" in done.stdout, "the report is printed"
    assert recording.function("heavy")["self"]["running"] > 0.05
    assert workload.process.poll() is None, "the target goes on"


def test_target_killed(workload, tmp_path):
    done, recording = recorded_until(workload, tmp_path, lambda _: workload.process.kill())
    assert done.returncode == 0, done
    heavy = recording.function("heavy")
    assert heavy["self"]["running"] > 0.05 and heavy["lines"]


def test_target_becomes_another_program(python, tmp_path):
    path = str(tmp_path / "x.pb.gz")
    with harness.Workload(python.command("execs.py", "sleep", "30")) as workload:
        done = harness.run("record", "-p", workload.pid, "-d", "3", "-o", path, "-q")
        assert done.returncode == 0, done.stderr
    recording = harness.Recording(path)
    assert recording.function("burn_before")["total"]["running"] > 0.3
    assert sum(thread["states"].get("sleep", 0) for thread in recording.ledgers) > 0.5


def test_target_becomes_another_python(python, tmp_path):
    path = str(tmp_path / "x.pb.gz")
    with harness.Workload(python.command(
            "execs.py", *python.command("identity.py", "--seconds", "1.5"))) as workload:
        done = harness.run("record", "-p", workload.pid, "-d", "5", "-r", "199", "-o", path, "-q")
        assert done.returncode == 0, done.stderr
    recording = harness.Recording(path)
    assert recording.function("burn_before")["total"]["running"] > 0.3
    assert recording.function("once")["total"]["running"] > 0.5


def test_stopped_target(workload, tmp_path):
    """Stopped by a signal for about a second, measured here."""
    path = str(tmp_path / "x.pb.gz")
    with harness.Recorder("-p", workload.pid, "-d", "3", "-r", "199", "-o", path,
                          "-q") as recorder:
        recorder.wait_started()
        workload.process.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        time.sleep(1.0)  # the length of the stop is what is measured
        workload.process.send_signal(signal.SIGCONT)
        stopped = time.monotonic() - started
        assert recorder.wait().returncode == 0
    thread = harness.Recording(path).threads[workload.pid]
    assert thread["states"].get("stopped", 0) == pytest.approx(stopped, abs=0.05)


def test_duration_is_kept(workload, tmp_path):
    started = time.monotonic()
    done = harness.run("record", "-p", workload.pid, "-d", "1", "-o", tmp_path / "x.pb.gz", "-q")
    assert done.returncode == 0 and 1.0 <= time.monotonic() - started < 3.0


def test_default_output_is_beside_it(workload, tmp_path):
    done = harness.run("record", "-p", workload.pid, "-d", "1", cwd=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["pyebpf-%d.pb.gz" % workload.pid]
    assert "pyebpf-%d.pb.gz" % workload.pid in done.stdout


def test_silent_when_not_a_terminal(workload, tmp_path):
    done = harness.run("record", "-p", workload.pid, "-d", "1", "-o", tmp_path / "x.pb.gz")
    assert "\r" not in done.stdout + done.stderr and "\x1b" not in done.stdout + done.stderr


def test_progress_on_a_terminal(workload, tmp_path):
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [harness.PYEBPF, "record", "-p", str(workload.pid), "-d", "2", "-o",
         str(tmp_path / "x.pb.gz")], stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    output = b""
    with contextlib.suppress(OSError):  # the terminal is gone when the program is
        while True:
            data = os.read(leader, 4096)
            if not data:
                break
            output += data
    os.close(leader)
    assert process.wait(10) == 0
    assert b"\r" in output and re.search(rb"\d+ samples", output), output[:400]


def test_target_is_not_slowed_or_stopped(workload, tmp_path):
    """Never traced, never stopped: the tracer field and the state stay what they were."""
    with harness.Recorder("-p", workload.pid, "-d", "1", "-o", tmp_path / "x.pb.gz",
                          "-q") as recorder:
        while recorder.process.poll() is None:
            with open("/proc/%d/status" % workload.pid) as file:
                status = file.read()
            assert "TracerPid:\t0" in status
            assert not re.search(r"State:\s+[tT]", status)
            time.sleep(0.02)
        assert recorder.wait().returncode == 0


# check ------------------------------------------------------------------------------------------
def test_check():
    done = harness.run("check")
    assert done.returncode == 0, done
    assert "btf" in done.stdout.lower() and "CAP_BPF" in done.stdout and "sched" in done.stdout


def test_check_of_a_process(core_interpreter):
    with harness.Workload(core_interpreter.command("stacks.py")) as workload:
        done = harness.run("check", "-p", workload.pid)
    assert done.returncode == 0, done
    assert "%d.%d" % core_interpreter.version in done.stdout


def test_check_of_what_is_not_python():
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            done = harness.run("check", "-p", process.pid)
        finally:
            process.kill()
    assert done.returncode > 0
    assert "not a CPython process" in done.stdout + done.stderr
