# SPDX-License-Identifier: BSD-2-Clause
"""What was waited for: each peer by its name, with the waits that the workload timed itself."""
import collections
import math

import pytest

import harness

ALONE = ("receive_inet", "receive_inet6", "receive_unix", "receive_abstract", "receive_datagram",
         "receive_unconnected", "wait_poll", "wait_select", "wait_epoll", "wait_large",
         "receive_port")
LONG = 0.0051   # seconds; shorter waits are sampled
ROWS_MAX = 200  # of the table in the JSON


@pytest.fixture
def recording(core_interpreter, recordings):
    return recordings(core_interpreter, "targets")


def rows(recording, function):
    found = [row for row in recording.report["targets"] if row["function"] == function]
    assert len({row["target"] for row in found}) == len(found), found
    return {row["target"]: row for row in found}


def after_waits(recording, name):
    """What the workload times beside the waits: then it wants the interpreter's lock, and a CPU,
    which it cannot tell apart where there is no /proc (by chroot)."""
    states = recording.function(name)["total"]
    return states.get("gil", 0) + states.get("runqueue", 0)


def bucket(seconds):
    """The power of two of ns below which a wait is, as the report's histograms count them."""
    return 2 ** math.ceil(math.log2(max(seconds, 1e-9) * 1e9)) / 1e9


def test_each_target_has_its_row(recording):
    truth = recording.truth
    for name in ALONE + ("receive_request",):
        found = rows(recording, name)
        assert set(found) == set(truth["targets"][name])
        for row in found.values():
            assert row["line"] == truth["lines"][name] and row["file"].endswith("/targets.py")
            assert row["state"] == ("poll" if name.startswith("wait_") else "socket"), row


def test_waits_by_target(recording):
    """All are longer than the period, so each is counted; see test_waits.py for what can miss."""
    for name in ALONE:
        for target, count in recording.truth["targets"][name].items():
            row = rows(recording, name)[target]
            # An answer that was nearly there is a short wait: counted by its probability.
            long = sum(count for upper, count in row["histogram"] if upper > LONG)
            assert 0.94 * count - 1 <= long <= 1.1 * count + 1, (row, count)


def test_seconds_by_function(recording):
    for name in ALONE + ("receive_request",):
        waited = sum(recording.truth["waits"][name])
        found = sum(row["seconds"] for row in rows(recording, name).values())
        # Two waits of which the end of one was not reported are one, with what was between them.
        assert found <= 1.03 * waited + 0.001, name
        assert found + after_waits(recording, name) >= 0.97 * waited, name


def test_longest(recording):
    for name in ALONE:
        longest = max(row["longest_s"] for row in rows(recording, name).values())
        timed = max(recording.truth["waits"][name])
        # The stopwatch also ran while the woken thread waited for a CPU, which is not of its wait.
        assert timed - after_waits(recording, name) - 0.005 <= longest <= timed + 0.001, name


def test_histogram(recording):
    for name in ALONE:
        waits, found = recording.truth["waits"][name], collections.Counter()
        for row in rows(recording, name).values():
            assert sum(count for _, count in row["histogram"]) == row["waits"]
            for upper, count in row["histogram"]:
                found[upper] += count
        # Its clock stops once it has a CPU again, and need not agree on a wait at the edge.
        late = after_waits(recording, name)
        ends = [(bucket(max(0.95 * (wait - late), 1e-6)), bucket(1.05 * wait)) for wait in waits]
        for upper in {bucket(wait) for wait in waits if wait >= LONG}:
            surely = sum(least == most == upper for least, most in ends)
            maybe = sum(least <= upper <= most for least, most in ends)
            near = [count for key, count in found.items() if key == pytest.approx(upper)]
            assert 0.94 * surely - 1 <= sum(near) <= 1.1 * maybe + 1, (name, upper, found, waits)


def test_quantiles(recording):
    for name in ("receive_inet", "receive_unix", "receive_port"):
        waits = sorted(recording.truth["waits"][name])
        row, = rows(recording, name).values()
        if row["histogram"][0][0] <= LONG:
            continue  # an answer was nearly there: a short wait, which stands for many
        # As far as powers of two tell; one wait more or less can move it to the next one.
        low, high = waits[len(waits) // 2 - 2], waits[len(waits) // 2 + 1]
        assert bucket(low) / 2 <= row["p50_s"] * 1.001 and row["p50_s"] <= bucket(high) * 1.001
        assert bucket(waits[-1]) / 2 * 0.999 <= row["p99_s"] <= row["longest_s"]


def test_a_thousand_clients_are_one_row(recording):
    row, = rows(recording, "receive_request").values()
    expected = len(recording.truth["waits"]["receive_request"]) - recording.truth["clients"] - 1
    assert expected >= recording.truth["clients"]
    # Of so many messages 64 in a row are sampled, then 3 or 7 times as many passed over.
    assert row["receives"] == pytest.approx(expected, abs=7 * 64), row


def test_many_addresses_are_capped_and_counted(recording):
    report, truth = recording.report, recording.truth
    assert len(report["targets"]) == ROWS_MAX
    rest = report["targets_rest"]
    assert rest["rows"] > 0 and rest["seconds"] > 0
    assert set(rows(recording, "receive_address")) <= set(truth["targets"]["receive_address"])
    # All waits for peers are somewhere, the rest included.
    states = report["totals"]["states"]
    whole = sum(states.get(state, 0) for state in ("socket", "poll", "accept"))
    found = sum(row["seconds"] for row in report["targets"]) + rest["seconds"]
    assert found == pytest.approx(whole, rel=0.02)


def test_table_for_a_person(recording):
    done = harness.run("report", recording.path, "-n", "60")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    head, _, table = done.stdout.partition("waits for")
    for text in ("127.0.0.1:*", "datagrams", "[::1]:"):
        assert text in table, table
    assert "more target" in table, table
    short = harness.run("report", recording.path).stdout
    assert short[:short.index("waits for")].count("\n") <= 26, short
