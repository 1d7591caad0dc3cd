# SPDX-License-Identifier: BSD-2-Clause
"""Processes that do what a test tells them, and what a recording has of them."""
import json
import os
import select
import subprocess

import harness


class Member:
    """A running workloads/member.py, and all that it and its children have said of themselves."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        **options)
        self.said = []
        self.first = self.listen()
        self.pid = self.first["pid"]

    def listen(self, seconds=30):
        assert select.select([self.process.stdout], [], [], seconds)[0], "it does not answer"
        line = self.process.stdout.readline()
        assert line, "it ended with status %s" % self.process.wait(10)
        answer = json.loads(line)
        self.said.append(answer)
        return answer

    def tell(self, *words):
        """Has it do something; returns what it says then."""
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
        self.process.stdin.flush()
        return self.listen()

    def burn(self, place, seconds=0.2):
        return self.tell("burn", place, seconds)

    def cpu(self):
        return self.tell("cpu")["cpu"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        harness.end(self.process)
        for stream in self.process.stdin, self.process.stdout:
            if not stream.closed:
                try:
                    stream.close()
                except OSError:
                    pass


def burned(recording, answer, place):
    """Seconds on a CPU that the recording has of a process in the function named after the place,
    as a part of those that it has burned there: 1, with the chance of some hundred samples."""
    seconds = sum(sample.seconds for sample in recording.running()
                  if sample.labels["pid"] == answer["pid"] and
                  any(frame.name == place for frame in sample.python))
    return seconds / answer["burned"]


def check_burned(recording, answer, place, least=0.8):
    part = burned(recording, answer, place)
    assert least < part < 1.25, (part, answer, place, recording.report["lost"])


def check_absent(recording, pid):
    assert pid not in {sample.labels["pid"] for sample in recording.profile.samples}
    assert pid not in {process["pid"] for process in recording.report["processes"]}


def ledger(recording, pid):
    """Exact CPU seconds of all that a process ran."""
    return sum(thread["states"].get("running", 0) for process in recording.report["processes"]
               if process["pid"] == pid for thread in process["threads"])
