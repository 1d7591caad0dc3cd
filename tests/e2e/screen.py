# SPDX-License-Identifier: BSD-2-Clause
"""Runs pyebpf on a terminal: one that tmux emulates and reads back, or a bare pseudo-terminal."""
import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import time

import harness


class Screen:
    """A command in a window of tmux; a context manager."""

    serial = 0

    def __init__(self, *arguments, columns=80, lines=24, environment=(), shell=False):
        Screen.serial += 1
        self.server = "pyebpf-test-%d-%d" % (os.getpid(), Screen.serial)
        # tmux itself loses the status of a command now and then.
        command = ["sh", "-c", '"$@"; echo "ended with $?."; sleep infinity', "sh",
                   "env", *environment, harness.PYEBPF, *map(str, arguments)]
        if shell:  # one that goes on beside it
            command = ["bash", "--norc", "-i"]
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines),
                  "sleep", "infinity")
        self.tmux("set-option", "-g", "status", "off")
        self.tmux("respawn-pane", "-k", *command)
        if shell:
            self.press(" ".join([harness.PYEBPF, *map(str, arguments)]), "Enter")

    def tmux(self, *arguments):
        return subprocess.run(["tmux", "-u", "-L", self.server, *arguments], check=True,
                              stdout=subprocess.PIPE, text=True,
                              stdin=subprocess.DEVNULL).stdout

    def lines(self):
        return self.tmux("capture-pane", "-p").split("\n")

    def text(self):
        return "\n".join(self.lines())

    def press(self, *keys):
        """Keys as tmux names them."""
        self.tmux("send-keys", *keys)

    def resize(self, columns, lines):
        self.tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def shows(self, text, seconds=20):
        """Waits until the screen has a text, and returns its lines."""
        return harness.wait_for(lambda: text in self.text() and self.lines(),
                                "%r on the screen:\n%s" % (text, self.text()), seconds)

    def row(self, text):
        """The first line with a text."""
        return next(line for line in self.shows(text) if text in line)

    def status(self):
        """Waits for the command's end and returns its exit status."""
        return int(re.search(r"ended with (\d+)\.", self.row("ended with")).group(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["tmux", "-L", self.server, "kill-server"], stderr=subprocess.DEVNULL)


class Terminal:
    """A command on a pseudo-terminal, of which every byte is kept; a context manager."""

    def __init__(self, *arguments, **environment):
        self.master, self.slave = pty.openpty()
        subprocess.run(["stty", "rows", "24", "cols", "80"], stdin=self.slave, check=True)
        self.before = termios.tcgetattr(self.slave)
        self.output = b""
        self.process = subprocess.Popen(
            [harness.PYEBPF, *map(str, arguments)], stdin=self.slave, stdout=self.slave,
            stderr=self.slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**{key: value for key, value in os.environ.items() if key != "NO_COLOR"},
                 "TERM": "xterm-256color", **environment})

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            self.output += os.read(self.master, 65536)
        return self.output

    def shows(self, text):
        harness.wait_for(lambda: text in self.read(), "%r among what is written" % text)

    def press(self, keys):
        os.write(self.master, keys)

    def status(self):
        """Waits for the command's end and returns its exit status."""
        end = time.monotonic() + 20
        while self.process.poll() is None:
            assert time.monotonic() < end, "it does not end"
            self.read()
            time.sleep(0.01)
        self.read()
        return self.process.returncode

    def restored(self):
        """Whether the terminal is as it was: its modes, its screen, and its cursor."""
        left = self.output.rfind(b"\x1b[?1049l")
        return termios.tcgetattr(self.slave) == self.before and \
            left > self.output.rfind(b"\x1b[?1049h") >= 0 and \
            self.output.rfind(b"\x1b[?25h") > self.output.rfind(b"\x1b[?25l")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        harness.end(self.process)
        os.close(self.master)
        os.close(self.slave)
