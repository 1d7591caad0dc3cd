# SPDX-License-Identifier: BSD-2-Clause
"""A PostgreSQL of its own for the tests: a cluster in a temporary folder, from Debian's package."""
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

import harness
from interpreters import Missing

USER = "postgres"
CUSTOMERS = 50
ORDERS = 1000
TABLES = """
create table customers (id integer primary key, name text not null);
create table orders (id integer primary key, customer_id integer not null references customers);
insert into customers select id, 'customer ' || id from generate_series(1, %d) as id;
insert into orders select id, id %% %d + 1 from generate_series(1, %d) as id;
analyze;
""" % (CUSTOMERS, CUSTOMERS, ORDERS)


def programs():
    """The directory of the newest version's programs."""
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    if not found:
        raise Missing("PostgreSQL is not installed")
    return os.path.dirname(max(found, key=lambda path: float(path.split("/")[4])))


class Postgres:
    """A server on 127.0.0.1:`port` and on the unix socket `path` in `directory`."""

    def __init__(self):
        self.programs = programs()
        self.directory = tempfile.mkdtemp(prefix="pyebpf-pg-")
        shutil.chown(self.directory, USER, pwd.getpwnam(USER).pw_gid)
        os.chmod(self.directory, 0o755)
        self.process = None
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self.address = "127.0.0.1:%d" % self.port
        self.path = "%s/.s.PGSQL.%d" % (self.directory, self.port)

    def run(self, program, *arguments, **options):
        return subprocess.run([os.path.join(self.programs, program), *arguments], user=USER,
                              stdin=options.pop("stdin", subprocess.DEVNULL), cwd=self.directory,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=120, **options)

    def _ready(self):
        assert self.process.poll() is None, "the server has ended: " + self._log()
        return not self.run("pg_isready", "-q", "-h", self.directory, "-p",
                            str(self.port)).returncode

    def _log(self):
        with open(self.directory + "/log") as file:
            return file.read()[-2000:]

    def start(self):
        data = self.directory + "/data"
        done = self.run("initdb", "-D", data, "-A", "trust", "-U", USER, "--no-sync",
                        "--locale=C.UTF-8")
        assert done.returncode == 0, done.stdout
        with open(self.directory + "/log", "w") as log:
            self.process = subprocess.Popen(
                [self.programs + "/postgres", "-D", data, "-p", str(self.port), "-k",
                 self.directory, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
                 "-c", "autovacuum=off", "-c", "jit=off"],
                user=USER, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        harness.wait_for(self._ready, "PostgreSQL to be ready", 60)
        done = self.run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.directory, "-p",
                        str(self.port), "-c", TABLES, USER)
        assert done.returncode == 0, done.stdout

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # fast: clients are cut off
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
