# SPDX-License-Identifier: BSD-2-Clause
"""Burns CPU in known shares under every kind of Python frame, and tells each whole stack.

A case calls `leaf` through frames of one kind. In the first round `leaf` notes the stack that the
interpreter itself sees (names, files, first lines, lines); afterwards it burns CPU. So the truth
of a case is a stack and the thread's own clock.
"""
import functools
import sys
import types

import truth


def spin(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total


def frames(frame):
    """The stack of a frame, outermost first: [name, file, first line, line]."""
    stack = []
    while frame is not None:
        code = frame.f_code
        stack.append([truth.name_of(code), code.co_filename, code.co_firstlineno, frame.f_lineno])
        frame = frame.f_back
    return stack[::-1]


def note(n):
    """Stands in for spin() in the first round."""
    noted.append(frames(sys._getframe(1)))


noted = []
leaf = note


# Functions that burn themselves, in shares of 60, 30 and 10.
def heavy(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total


def medium(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total


def light(n):
    total = 0
    for i in range(n):
        total += i & 3
    return total


class Outer:
    class Inner:
        def method(self, n):
            leaf(n)

        @staticmethod
        def static(n):
            leaf(n)

        @classmethod
        def of_class(cls, n):
            leaf(n)

    def __init__(self, n=0):
        self.n = n

    @property
    def value(self):
        leaf(self.n)

    def __getitem__(self, n):
        leaf(n)

    def __call__(self, n):
        leaf(n)


def in_method(n):
    Outer.Inner().method(n)


def in_static(n):
    Outer.Inner.static(n)


def in_class_method(n):
    Outer.Inner.of_class(n)


def in_property(n):
    Outer(n).value


def in_getitem(n):
    Outer()[n]


def in_closure(n):
    def inner():
        leaf(n)

    inner()


def in_lambda(n):
    (lambda: leaf(n))()


def generate(n):
    yield leaf(n)


def generate_from(n):
    yield from generate(n)


def in_generator(n):
    for _ in generate_from(n):
        pass


async def innermost(n):
    leaf(n)


async def middle(n):
    await innermost(n)


@types.coroutine
def pause():
    yield


async def resumed(n):
    await pause()
    await middle(n)


def in_coroutine(n):
    coroutine = resumed(n)
    coroutine.send(None)
    try:
        coroutine.send(None)
    except StopIteration:
        pass


def in_comprehension(n):
    [leaf(n) for _ in "x"]


def in_generator_expression(n):
    any(leaf(n) for _ in "x")


def key(n):
    leaf(n)
    return 0


def in_sort_key(n):
    sorted([n], key=key)


def in_map(n):
    list(map(key, [n]))


def in_partial(n):
    functools.partial(key, n)()


def in_class_body(n):
    class Body:
        leaf(n)


def recurse(depth, n):
    if depth:
        recurse(depth - 1, n)
    else:
        leaf(n)


def in_recursion(n):
    recurse(20, n)


def in_exception(n):
    try:
        raise ValueError
    except ValueError:
        leaf(n)
    finally:
        pass


def in_multiline_call(n):
    max(
        1,
        leaf(
            n
        ) or 0,
        2,
    )


def in_module_code(n):
    exec(MODULE, {"leaf": leaf, "n": n})


MODULE = compile("\n\nleaf(n)\n", "<made by exec>", "exec")


def make(name, filename="<made>", first_line=1, body="    leaf(n)"):
    """A function of any name, file and body; it shares this module's globals."""
    source = "\n" * (first_line - 1) + "def %s(n):\n%s\n" % (name, body)
    space = {}
    exec(compile(source, filename, "exec"), globals(), space)
    return space[name]


# One of each width that str has, a long one of each, and a long file name.
NAMES = ["latin_gr\u00f6\u00dfe", "\u8ba1\u7b97\u603b\u6570", "\U00010330\U00010331\U00010332",
         "n" * 300, "\u00e9" * 300, "\u6570" * 300, "\U00010330" * 300]
FILES = ["/srv/gr\u00f6\u00dfe/\u6a21\u5757.py", "/srv/" + "directory/" * 60 + "module.py"]

# Distances between lines that the line tables spell in different ways.
GAPS = [1, 2, 15, 16, 31, 32, 63, 64, 127, 128, 129, 254, 255, 256, 300, 5000, 70000]


def spaced_lines():
    return "".join("\n" * (gap - 1) + "    leaf(n // %d)\n" % len(GAPS) for gap in GAPS)


def long_line():
    """Lines that take more than 255 bytes of instructions each, then a jump back."""
    line = "    n + %s\n" % " + ".join(["n"] * 300)
    lines = "".join("    " + line for _ in range(3))
    return "    for _ in range(2):\n" + lines + "        leaf(n // 2)\n"


def sums():
    """Burns in C, on lines of its own: [(line offset, share)]. `mark` reads the clock."""
    parts = [(1, 5), (2, 3), (2 + 200, 2), (2 + 200 + 300, 4)]
    body, line = "", 0
    for index, (offset, share) in enumerate(parts):
        body += "\n" * (offset - line - 1)
        body += "    sum(range(n * %d // 14)); mark(%d)\n" % (share, index)
        line = offset
    return parts, body


def mark(index):
    global marked
    time = truth.cpu()
    if leaf is spin:
        line_seconds[index] += time - marked
    marked = time


class Case:
    def __init__(self, call, weight=1, own=False):
        self.call, self.weight, self.own = call, weight, own
        self.name = call.__name__
        self.stacks, self.seconds, self.n = [], 0.0, 0


parts, body = sums()
line_seconds = [0.0] * len(parts)
marked = 0.0
sum_lines = make("sum_lines", "/srv/sums.py", 10, body)

CASES = [Case(heavy, 12, True), Case(medium, 6, True), Case(light, 2, True),
         Case(sum_lines, 4, True)]
CASES += [Case(call) for call in (
    in_method, in_static, in_class_method, in_property, in_getitem, in_closure, in_lambda,
    in_generator, in_coroutine, in_comprehension, in_generator_expression, in_sort_key, in_map,
    in_partial, in_class_body, in_recursion, in_exception, in_multiline_call, in_module_code,
    make("spaced_lines", "/srv/spaced.py", 3, spaced_lines()),
    make("long_line", "/srv/long.py", 1, long_line()))]
CASES += [Case(make(name)) for name in NAMES]
CASES += [Case(make("in_file_%d" % i, file, 7)) for i, file in enumerate(FILES)]


def drive(case):
    global marked
    start = marked = truth.cpu()
    case.call(case.n)
    case.seconds += truth.cpu() - start


def rounds():
    while not truth.stopping.is_set():
        for case in CASES:
            drive(case)
        if leaf is note:
            settle()


def settle():
    """After the first round: keep what was noted, set the burn so that a round takes 40 ms."""
    global leaf
    leaf = spin
    spin(1000)
    start = truth.cpu()
    spin(100000)
    per_second = 100000 / (truth.cpu() - start)
    total = sum(case.weight for case in CASES)
    for case in CASES:
        case.n = int(per_second * 0.040 * case.weight / total)
        case.seconds = 0.0
    sum_case = next(case for case in CASES if case.name == "sum_lines")
    start = truth.cpu()
    sum(range(100000))
    sum_case.n = int(sum_case.n * (100000 / (truth.cpu() - start)) / per_second)


def assign(stacks):
    """Gives each noted stack to its case, by the frame right above drive()'s."""
    for stack in stacks:
        at = next(i for i, frame in enumerate(stack) if frame[0] == "drive") + 1
        for case in CASES:
            code = case.call.__code__
            if [truth.name_of(code), code.co_filename, code.co_firstlineno] == stack[at][:3]:
                case.stacks.append(stack)
                break
        else:
            raise LookupError(stack)
    base = stacks[0][:at]
    for case in CASES:
        if case.own:
            code = case.call.__code__
            case.stacks.append(
                base + [[truth.name_of(code), code.co_filename, code.co_firstlineno, None]])


def main():
    options = truth.arguments()
    truth.ready(options)
    rounds()
    assign(noted)
    first = sum_lines.__code__.co_firstlineno
    code = spin.__code__
    truth.tell(
        options, tid=truth.tid(),
        leaf=[truth.name_of(code), code.co_filename, code.co_firstlineno],
        cases=[{"name": case.name, "seconds": case.seconds, "own": case.own,
                "stacks": case.stacks} for case in CASES],
        sum_lines={str(first + offset): seconds
                   for (offset, _), seconds in zip(parts, line_seconds)})


if __name__ == "__main__":
    main()
