# SPDX-License-Identifier: BSD-2-Clause
"""What `report` prints, and what it does with files that are not recordings."""
import gzip
import json
import os
import random
import subprocess

import pytest

import harness

STATES = {"running", "runqueue", "socket", "file", "pipe", "fault", "poll", "accept", "gil", "lock",
          "sleep", "child", "stopped", "other"}
CLASSES = {"cpu", "io", "lock", "gil", "idle", "other"}


@pytest.fixture(scope="module")
def recording(python, recordings):
    return recordings(python, "waits")


def test_json_keeps_its_names(recording):
    report = recording.report
    assert {"duration_s", "rate_hz", "verdict", "processes", "totals", "functions", "lost",
            "profiler", "environment"} <= set(report)
    assert report["rate_hz"] == 199
    assert set(report["totals"]["states"]) <= STATES
    assert set(report["totals"]["running"]) <= {"python", "native", "kernel", "gc"}
    for process in report["processes"]:
        assert {"pid", "command", "python", "threads"} <= set(process)
        for thread in process["threads"]:
            assert {"tid", "name", "seconds", "states"} <= set(thread)
            assert set(thread["states"]) <= STATES
    for function in report["functions"]:
        assert {"function", "file", "line", "kind", "class", "self", "total", "waits"} <= \
            set(function)
        assert function["class"] in CLASSES
        assert set(function["self"]) <= STATES and set(function["total"]) <= STATES
        for state, seconds in function["self"].items():
            assert seconds <= function["total"].get(state, 0) + 1e-6
    assert {"cpu_s", "rss_bytes", "samples"} <= set(report["profiler"])
    assert all(isinstance(line, str) for line in report["verdict"]) and report["verdict"]


def test_pprof_has_what_the_contract_says(recording):
    profile = recording.profile
    assert profile.types == [("cpu", "nanoseconds"), ("wait", "nanoseconds"), ("waits", "count"),
                             ("sends", "count"), ("receives", "count")]
    assert profile.period_type == ("cpu", "nanoseconds")
    assert profile.period == pytest.approx(1e9 / 199, rel=0.001)
    assert profile.comments and profile.duration_ns > 0 and profile.time_ns > 0
    assert list(profile.functions) == list(range(1, len(profile.functions) + 1))
    for sample in profile.samples:
        assert {"process", "pid", "thread", "tid", "state"} <= set(sample.labels)
        assert sample.state in STATES
        assert (sample.values["cpu"] == 0) or sample.state == "running"
        assert (sample.values["wait"] == 0) or sample.state != "running"


def test_text_fits_a_terminal(recording):
    done = harness.run("report", recording.path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80, max(lines, key=len)
    assert any("CPython" in line and str(recording.truth["pid"]) in line for line in lines[:6])
    text = done.stdout
    assert "socket_receive" in text and "self s" in text and "lost" in text
    table = next(i for i, line in enumerate(lines) if "self s" in line)
    assert table < 25


def test_report_needs_no_rights(recording, nobody):
    copy = os.path.join(nobody.directory, "copy.pb.gz")
    with open(recording.path, "rb") as source, open(copy, "wb") as file:
        file.write(source.read())
    os.chmod(copy, 0o644)
    done = subprocess.run(nobody("report", copy, "--json"), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["functions"] == recording.report["functions"]


def rows(text):
    """Function names of the table, in order."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if "self s" in line)
    result = []
    for line in lines[start + 1:]:
        if not line.strip() or "more functions" in line:
            break
        result.append(line)
    return result


def test_number_of_rows(recording):
    assert len(rows(harness.run("report", recording.path, "-n", "3").stdout)) == 3
    assert len(rows(harness.run("report", recording.path, "-n", "5").stdout)) == 5


def test_sort_changes_the_order(recording):
    orders = {key: rows(harness.run("report", recording.path, "--sort", key, "-n", "5").stdout)
              for key in ("self", "total", "waits")}
    assert "<module>" in " ".join(orders["total"]) or "live" in " ".join(orders["total"])
    assert orders["self"] != orders["total"]


def test_unknown_sort_key(recording):
    done = harness.run("report", recording.path, "--sort", "beauty")
    assert done.returncode > 0 and "beauty" in done.stderr


def test_collapsed(recording):
    done = harness.run("report", "-f", "collapsed", recording.path)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        stack, count = line.rsplit(" ", 1)
        assert int(count) > 0 and stack
    text = done.stdout
    assert "[wait: sleep" in text and ";sleep_a_little (" in text


def test_recorded_as_collapsed(python):
    path = os.path.join(harness.OUTPUT, "stacks.collapsed")
    os.makedirs(harness.OUTPUT, exist_ok=True)
    with harness.Workload(python.command("stacks.py")) as workload:
        done = harness.run("record", "-p", workload.pid, "-d", "1", "-f", "collapsed", "-o", path,
                           "-q")
    assert done.returncode == 0, done.stderr
    with open(path) as file:
        assert any("drive (" in line and ";heavy (" in line for line in file)


def refused(path, *words):
    done = harness.run("report", path)
    assert done.returncode > 0 and done.stderr.strip(), (path, done)
    assert str(path) in done.stderr, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    return done


def test_missing_file(tmp_path):
    refused(tmp_path / "nothing.pb.gz", "No such file")


def test_directory(tmp_path):
    refused(tmp_path)


@pytest.mark.parametrize("content", [
    b"", b"\n", b"PK\x03\x04", b"\x1f\x8b", gzip.compress(b""), gzip.compress(b"\xff" * 1000),
    gzip.compress(b"hello world\n" * 100), os.urandom(4096), b"main;f 1\nmain;g 2\n",
], ids=["empty", "newline", "zip", "gzip head", "empty gzip", "bytes ff", "gzip text", "random",
        "collapsed"])
def test_foreign_files(tmp_path, content):
    path = tmp_path / "foreign.pb.gz"
    path.write_bytes(content)
    refused(path)


def test_another_tools_profile(tmp_path):
    """A valid pprof file with other sample types: strings "", "samples", "count"."""
    content = b"\x0a\x04\x08\x01\x10\x02" + b"\x32\x00" + b"\x32\x07samples" + b"\x32\x05count"
    path = tmp_path / "other.pb.gz"
    path.write_bytes(gzip.compress(content))
    refused(path)


@pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.9, 0.999])
def test_truncated(tmp_path, recording, part):
    with open(recording.path, "rb") as file:
        data = file.read()
    path = tmp_path / "cut.pb.gz"
    path.write_bytes(data[:int(len(data) * part)])
    refused(path)


def test_damaged(tmp_path, recording):
    """Damage inside intact compression: reported or refused, never a crash or a hang."""
    with gzip.open(recording.path) as file:
        data = file.read()
    dice = random.Random(1)
    path = tmp_path / "damaged.pb.gz"
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(dice.choice([1, 1, 4, 64])):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        path.write_bytes(gzip.compress(bytes(broken), 1))
        done = harness.run("report", path, "--json", timeout=20)
        assert done.returncode >= 0, "killed by signal %d" % -done.returncode
        if done.returncode == 0:
            json.loads(done.stdout)
        else:
            assert done.stderr.strip() and str(path) in done.stderr
