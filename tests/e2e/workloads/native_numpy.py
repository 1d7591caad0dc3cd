# SPDX-License-Identifier: BSD-2-Clause
"""numpy: assembly written by hand, loops by compilers, and C that calls a Python function."""
import signal
import sys

import truth

TURN, WARM_UP = 0.010, 0.3


def spin(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total


def multiply(n):
    for _ in range(n):
        MATRIX @ MATRIX


def elementwise(n):
    for _ in range(n):
        numpy.sqrt(VALUES, OTHERS)


def applied(value):
    spin(1000)
    return value


def apply(n):
    for _ in range(n):
        APPLIED(FEW)


def calibrate(phase):
    started = truth.cpu()
    phase(10)
    return max(1, int(10 * TURN / (truth.cpu() - started)))


def warm_up(turns):
    """See native_calls.py."""
    started = None
    while started is None or truth.now() - started < WARM_UP:
        for phase, n, _ in turns:
            phase(n)
        if started is None and signal.SIGUSR1 in signal.sigpending():
            started = truth.now()


def drive(phase, n, watch):
    with watch:
        phase(n)


def main():
    global numpy, MATRIX, VALUES, OTHERS, FEW, APPLIED
    options = truth.arguments(lambda parser: parser.add_argument("--packages"))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    sys.path.insert(0, options.packages)
    import numpy
    MATRIX, VALUES, FEW = numpy.ones((200, 200)), numpy.ones(50000), numpy.ones(20)
    OTHERS, APPLIED = VALUES.copy(), numpy.frompyfunc(applied, 1, 1)
    phases = multiply, elementwise, apply
    turns = [(phase, calibrate(phase), truth.Stopwatch()) for phase in phases]
    truth.ready(options)
    warm_up(turns)
    while not truth.stopping.is_set():
        for turn in turns:
            drive(*turn)
    truth.tell(options, tid=truth.tid(), numpy=numpy.__version__,
               phases={phase.__name__: watch.tell() for phase, _, watch in turns})


if __name__ == "__main__":
    main()
