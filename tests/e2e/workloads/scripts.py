# SPDX-License-Identifier: BSD-2-Clause
"""Threads in functions with names of any script and length, and --rows of them with short ones."""
import threading

import truth


def 計算():
    while not truth.stopping.is_set():
        pass


def naïve_مثال():
    while not truth.stopping.is_set():
        pass


def very_long_name_name_name_name_name_name_name_name_name_name_name_name_():
    while not truth.stopping.is_set():
        pass


def arguments(parser):
    parser.add_argument("--rows", type=int, default=0)


def main():
    options = truth.arguments(arguments)
    calls = [計算, naïve_مثال, very_long_name_name_name_name_name_name_name_name_name_name_name_name_]
    if options.rows:
        calls = []
        for row in range(options.rows):
            names = {"wait": truth.stopping.wait}
            exec("def row_%02d(): wait()" % row, names)
            calls.append(names["row_%02d" % row])
    for call in calls:
        threading.Thread(target=call, daemon=True).start()
    truth.ready(options)
    truth.stopping.wait()
    truth.tell(options)


if __name__ == "__main__":
    main()
