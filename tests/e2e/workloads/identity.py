# SPDX-License-Identifier: BSD-2-Clause
"""Code objects made and freed by the thousand per second, so that their addresses are used again.

Each is a function work_I called by a function call_I, from file <made I>, at lines that tell I.
Only that pair can ever be on a stack together. work_I burns in proportion to I % 5 + 1.
"""
import marshal

import truth

KINDS = 50


def source(i):
    return "\n" * (i * 10) + (
        "def work_%d(n):\n"
        "    total = 0\n"
        "    for k in range(n):\n"
        "        total += k & 3\n"
        "    return total\n"
        "def call_%d(n):\n"
        "    work_%d(n)\n" % (i, i, i))


CODES = [marshal.dumps(compile(source(i), "<made %d>" % i, "exec")) for i in range(KINDS)]
seconds = [0.0] * KINDS
made = 0


def once(i, n):
    """Makes the pair of functions, runs and drops them."""
    global made
    space = {}
    exec(marshal.loads(CODES[i]), space)
    call = space["call_%d" % i]
    start = truth.cpu()
    call(n * (i % 5 + 1))
    seconds[i] += truth.cpu() - start
    made += 2


def main():
    options = truth.arguments()
    truth.ready(options)
    started, order = truth.now(), 1
    while not truth.stopping.is_set():
        order = (order * 1103515245 + 12345) & 0x7fffffff
        once((order >> 8) % KINDS, 2000)
    truth.tell(options, tid=truth.tid(), seconds=seconds, kinds=KINDS,
               made_per_second=made / (truth.now() - started))


if __name__ == "__main__":
    main()
