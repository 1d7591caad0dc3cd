# SPDX-License-Identifier: BSD-2-Clause
"""A numpy job: most of its time is in C, under three Python functions."""
import numpy

import truth


def multiply(matrix):
    return matrix @ matrix


def order(values):
    return numpy.sort(values)


def in_python(n):
    return sum([i & 3 for i in range(n)])


def main():
    options = truth.arguments()
    random = numpy.random.default_rng(1)
    matrix, values = random.random((300, 300)), random.random(200000)
    watches = {name: truth.Stopwatch() for name in ("multiply", "order", "in_python")}
    truth.ready(options)
    while not truth.stopping.is_set():
        with watches["multiply"]:
            multiply(matrix)
        with watches["order"]:
            order(values)
        with watches["in_python"]:
            in_python(50000)
    truth.tell(options, tid=truth.tid(),
               watches={name: watch.tell() for name, watch in watches.items()})


if __name__ == "__main__":
    main()
