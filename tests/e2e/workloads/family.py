# SPDX-License-Identifier: BSD-2-Clause
"""A process that burns CPU in burn() from its first line on, forks children that do the same, and
leaves a file for each process with what it burned: DIRECTORY/PID.json."""
import argparse
import json
import os
import time


def burn(seconds):
    """Returns the CPU seconds that it took."""
    start = time.process_time()
    while time.process_time() < start + seconds:
        sum(range(1000))
    return time.process_time() - start


def leave(directory, facts):
    """Makes the process' file, whole at once."""
    path = os.path.join(directory, "%d.json" % facts["pid"])
    with open(path + ".part", "w") as file:
        json.dump(facts, file)
    os.rename(path + ".part", path)


def tell(directory, burned):
    leave(directory, {"pid": os.getpid(), "burned": burned, "cpu": time.process_time()})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--forks", type=int, default=0)
    options = parser.parse_args()
    for _ in range(options.forks):
        child = os.fork()
        if not child:
            tell(options.directory, burn(options.seconds))
            os._exit(0)
        os.waitpid(child, 0)
    tell(options.directory, burn(options.seconds))


if __name__ == "__main__":
    main()
