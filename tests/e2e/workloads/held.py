# SPDX-License-Identifier: BSD-2-Clause
"""Two threads that keep a CPU, one with the GIL and one without, once --directory holds "go"."""
import hashlib
import os
import threading
import time

import truth

BLOCK = bytes(1 << 22)  # some milliseconds of hashing, for which the GIL is given back
watches = {"with_it": truth.Stopwatch(), "without_it": truth.Stopwatch()}


def with_it():
    x = 0
    with watches["with_it"]:
        end = truth.cpu() + 0.6
        while truth.cpu() < end:
            for i in range(1000):
                x += i


def without_it():
    with watches["without_it"]:
        end = truth.cpu() + 0.9
        while truth.cpu() < end:
            hashlib.sha256(BLOCK).digest()


def main():
    options = truth.arguments()
    truth.ready(options)
    while not os.path.exists(os.path.join(options.directory, "go")):
        time.sleep(0.01)
    threads = [threading.Thread(target=call) for call in (with_it, without_it)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    truth.tell(options, watches={name: watch.tell() for name, watch in watches.items()})


if __name__ == "__main__":
    main()
