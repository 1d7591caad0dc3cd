# SPDX-License-Identifier: BSD-2-Clause
"""Prints bytecode of this very interpreter, and which of its instructions lie in a loop.

    make_loops.py [made]

One code object a line: version, bytecode and exception table in hex (`-`: none), and for each code
unit `1`: its instruction can come to itself again in one call of the function, `0`: it cannot, `.`:
not to be compared, since nothing leads there. Awaiting and `yield from` are no loops. A part of the
standard library and the functions below; `made`: only those, but for the longest. Runs on 3.7 and later.

What can follow what is found by the interpreter's own `dis`. For the functions below it is checked
by running them, with outcomes and exceptions by lot: an instruction that was run twice in a call
lies in a loop, and of the calls that do each must have been run twice.
"""
import dis
import glob
import opcode
import os
import random
import sys
import types

MADE = '''
def plain():
    c(); c()
    return c()

def for_loop():
    c()
    for i in r():
        c()
    c()

def while_loop():
    c()
    while c():
        c()
    return c()

def for_else():
    for i in r():
        if c():
            break
        c()
    else:
        c()
    c()

def nested():
    for i in r():
        c()
        for j in r():
            c()
        else:
            c()
        while c():
            if c():
                continue
            if c():
                break
            c()
        c()
    c()

def endless():
    c()
    while True:
        c()
        if c():
            return c()

def once():
    for i in r():
        c()
        return c()
    return c()

def breaks():
    while c():
        c()
        break
    c()

def rare_return():
    for i in r():
        if c():
            c()
            return c()
    c()

def handled():
    c()
    for i in r():
        try:
            c()
        except KeyError:
            c()
            continue
        except ValueError:
            c()
        else:
            c()
        c()
    c()
    c()

def handled_outside():
    try:
        c()
        for i in r():
            c()
        c()
    except KeyError:
        c()
    else:
        c()
    c()

def retry():
    c()
    while True:
        try:
            c()
            break
        except KeyError:
            c()
    c()

def retry_return():
    for attempt in r():
        try:
            return c()
        except KeyError as error:
            c()
            if c():
                raise
    return c()

def at_last():
    for i in r():
        try:
            c()
            if c():
                continue
            if c():
                break
        finally:
            c()
        c()
    c()

def at_last_outside():
    try:
        for i in r():
            c()
    finally:
        c()
    c()

def with_in_loop():
    c()
    for i in r():
        with m(c()):
            c()
            if c():
                continue
            if c():
                break
            c()
        c()
    c()

def with_return():
    for i in r():
        with m(c()):
            if c():
                return c()
    return c()

def with_outside():
    with m(c()):
        c()
        for i in r():
            c()
        c()
    c()

def comprehensions():
    c()
    a = [c() for i in r()]
    b = {c() for i in r() if c()}
    d = {c(): c() for i in r() for j in r()}
    e = list(c() for i in r())
    return c()

def generator():
    c()
    for i in r():
        yield c()
    yield c()
    while c():
        yield
    c()

def unpacking():
    c()
    a = [*r(), c()]
    b = c(*r())
    return c()

def conditions():
    a = c() and c() or c()
    b = c() if c() else c()
    while c() and (c() or not c()):
        c()
    assert c() or c() or True
    return 1 < number() < 3

def inner_handlers():
    while c():
        try:
            try:
                c()
            except KeyError:
                c()
                raise
            finally:
                c()
        except (KeyError, ValueError):
            c()
        c()
    c()

def loop_in_handler():
    try:
        c()
    except KeyError:
        c()
        for i in r():
            c()
        c()
    c()

def loop_in_finally():
    try:
        c()
    finally:
        for i in r():
            try:
                c()
            except ValueError:
                continue
            c()
        c()
    c()

def break_from_handler():
    for i in r():
        try:
            c()
        except KeyError:
            c()
            break
        c()
    c()

def with_in_handler_in_loop():
    for i in r():
        try:
            with m(c()):
                c()
        except ValueError:
            with m(c()):
                c()
            continue
        c()
    with m(c()):
        c()

async def awaits():
    await co()
    c()
    await co()
    return c()

async def awaits_in_loop():
    await co()
    for i in r():
        c()
        await co()
    await co()
    c()

async def async_for():
    await co()
    async for i in ar():
        c()
        await co()
    else:
        c()
    await co()
    c()

async def async_with():
    async with am(c()):
        c()
    for i in r():
        async with am(c()):
            if c():
                break
            c()
    async with am(c()):
        c()
    c()

async def async_comprehension():
    c()
    a = [c() async for i in ar()]
    b = [await co() for i in r()]
    c()
    return c()
'''
MATCH = '''
def matches():
    c()
    for i in r():
        match number():
            case 0:
                c()
            case 1 if c():
                c()
                continue
            case 2:
                c()
                break
            case _:
                c()
    c()
'''
GROUPS = '''
def groups():
    c()
    for i in r():
        try:
            c()
        except* KeyError:
            c()
        c()
    c()
'''


def sources(small):
    """Texts of functions with known loops, the last ones with arguments of two and three bytes."""
    yield MADE
    if sys.version_info >= (3, 10):
        yield MATCH
    if sys.version_info >= (3, 11):
        yield GROUPS
    many = lambda count, indent: ("\n" + " " * indent).join(["x = x + x"] * count)
    for count in (40, 100):
        yield ("def long_%d():\n    x = 0\n    c()\n    for i in r():\n        c()\n        %s\n"
               "        if c():\n            continue\n        try:\n            c()\n            %s\n"
               "        except KeyError:\n            c()\n            continue\n        c()\n    c()\n"
               "    while c():\n        %s\n    %s\n    c()\n"
               % (count, many(count, 8), many(count, 12), many(count, 8), many(count, 4)))
    if not small:
        yield "def long_most():\n    x = 0\n    for i in r():\n        %s\n    c()\n" % many(18000, 8)


def instructions(code):
    return [each for each in dis.get_instructions(code) if each.opname != "CACHE"]


JUMPS = set(opcode.hasjrel) | set(opcode.hasjabs)
PROTECTS = ("SETUP_FINALLY", "SETUP_EXCEPT", "SETUP_WITH", "SETUP_ASYNC_WITH")
ENDS = ("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_ABSOLUTE",
        "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "BREAK_LOOP", "CONTINUE_LOOP")


def plain_edges(code):
    """What can follow an instruction, offset by offset, without exceptions; and all of them."""
    listed = instructions(code)
    names = {each.offset: each.opname for each in listed}
    edges = {}
    for each, following in zip(listed, listed[1:] + [None]):
        edges[each.offset] = targets = []
        if following and each.opname not in ENDS:
            targets.append(following.offset)
        # END_ASYNC_FOR's argument says where the loop is, for tools: it does not jump there.
        if each.opcode not in JUMPS or each.opname.startswith(("SETUP_", "END_ASYNC_FOR")):
            continue
        at = each.argval
        while names[at] == "EXTENDED_ARG":
            at += 2
        if names[at] != "SEND" or at > each.offset:
            targets.append(each.argval)
    return listed, edges


def add_handlers_by_table(code, listed, edges):
    for entry in dis._parse_exception_table(code):
        for each in listed:
            if entry.start <= each.offset < entry.end:
                edges[each.offset].append(entry.target)


def add_handlers_by_blocks(listed, edges):
    """Up to 3.10: follows the blocks that are open at each instruction."""
    by_offset = {each.offset: each for each in listed}
    seen, work = {0}, [(0, ())]
    while work:
        offset, before = work.pop()
        each, after = by_offset[offset], before
        reached = [(target, before) for target in edges[offset]]
        for depth in reversed(range(len(before))):
            if before[depth][0] != "SETUP_LOOP":
                reached.append((before[depth][1], before[:depth]))
                edges[offset].append(before[depth][1])
                break
        if each.opname in PROTECTS + ("SETUP_LOOP",):
            after = before + ((each.opname, each.argval),)
        elif each.opname == "POP_BLOCK":
            after = before[:-1]
        elif each.opname == "BREAK_LOOP":
            depth = max(depth for depth in range(len(before)) if before[depth][0] == "SETUP_LOOP")
            reached.append((before[depth][1], before[:depth]))
            edges[offset].append(before[depth][1])
        if after != before:
            reached = [(target, after if blocks == before else blocks) for target, blocks in reached]
        for target, blocks in reached:
            if target not in seen:
                seen.add(target)
                work.append((target, blocks))


def reach(edges, starts):
    seen, work = set(starts), list(starts)
    while work:
        for target in edges[work.pop()]:
            if target not in seen:
                seen.add(target)
                work.append(target)
    return seen


def components(edges):
    """The sets of instructions that can all come to one another (Kosaraju's way)."""
    order, seen, back = [], set(), {offset: [] for offset in edges}
    for offset, targets in edges.items():
        for target in targets:
            back[target].append(offset)
    for start in edges:
        if start in seen:
            continue
        seen.add(start)
        work = [(start, iter(edges[start]))]
        while work:
            offset, targets = work[-1]
            for target in targets:
                if target not in seen:
                    seen.add(target)
                    work.append((target, iter(edges[target])))
                    break
            else:
                order.append(offset)
                work.pop()
    taken = set()
    for offset in reversed(order):
        if offset in taken:
            continue
        found, work = [], [offset]
        taken.add(offset)
        while work:
            found.append(work.pop())
            for target in back[found[-1]]:
                if target not in taken:
                    taken.add(target)
                    work.append(target)
        yield found


def loops_of(code):
    """{offset of each instruction that can be run: whether it lies in a loop}"""
    listed, edges = plain_edges(code)
    if sys.version_info >= (3, 11):
        add_handlers_by_table(code, listed, edges)
    else:
        add_handlers_by_blocks(listed, edges)
    run = reach(edges, [0])
    answers = {}
    for found in components({offset: targets for offset, targets in edges.items() if offset in run}):
        for offset in found:
            answers[offset] = len(found) > 1 or offset in edges[offset]
    return answers


def answers_by_unit(code, answers):
    text, answer = [], "."
    named = {each.offset: each for each in instructions(code)}
    for offset in range(0, len(code.co_code), 2):
        if offset in named:
            answer = "01"[answers[offset]] if offset in answers else "."
        text.append(answer)
    return "".join(text)


class Chance:
    """What the functions call: it answers, and raises, by lot; and soon says stop."""

    def __init__(self, seed):
        self.random, self.left = random.Random(seed), 200
        self.failing = (0.05, 0.2, 0.6)[seed % 3]

    def c(self, *arguments):
        self.left -= 1
        if self.left < 0:
            raise SystemExit
        fate = self.random.random()
        if fate < self.failing:
            raise (KeyError if fate < self.failing / 2 else ValueError)()
        return self.random.random() < 0.5

    def number(self):
        return self.random.randrange(4)

    def r(self):
        return range(self.random.randrange(5))

    def m(self, argument, swallow=None):
        return Manager(self)

    async def co(self):
        return self.c()

    async def ar(self):
        for each in self.r():
            yield each


class Manager:
    def __init__(self, chance):
        self.chance = chance

    def __enter__(self):
        return self

    def __exit__(self, *what):
        return self.chance.random.random() < 0.5 and what[0] is not SystemExit

    async def __aenter__(self):
        return self

    async def __aexit__(self, *what):
        return self.__exit__(*what)


def repeated_once(code, seed, repeated):
    """Runs a function, and adds to `repeated`, unless None, the offsets of what was run twice."""
    chance, seen = Chance(seed), set()
    names = {name: getattr(chance, name) for name in ("c", "number", "r", "m", "co", "ar")}
    names.update(am=chance.m, __builtins__=__builtins__)

    def trace(frame, event, argument):
        if frame.f_code is not code:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            (repeated if frame.f_lasti in seen else seen).add(frame.f_lasti)
        return trace

    call = types.FunctionType(code, names)
    if repeated is not None:
        sys.settrace(trace)
    try:
        result = call()
        if isinstance(result, types.CoroutineType):
            result.send(None)
        elif isinstance(result, types.GeneratorType):
            list(result)
    except (KeyError, ValueError, StopIteration, SystemExit):
        pass
    except Exception as error:
        if type(error).__name__ != "ExceptionGroup":
            raise
    finally:
        sys.settrace(None)


def check_by_running(code):
    answers, repeated = loops_of(code), set()
    names = {each.offset: each.opname for each in instructions(code)}
    calls = {offset for offset in answers
             if answers[offset] and names[offset].startswith("CALL")
             and not names[offset].startswith(("CALL_INTRINSIC", "CALL_FINALLY"))}
    for seed in range(20000):
        repeated_once(code, seed, repeated)
        if seed > 100 and calls <= repeated:
            break
    wrong = {offset for offset in repeated if not answers.get(offset)}
    if wrong or calls - repeated:
        dis.dis(code)
        sys.exit("%s: run twice: %s; in a loop but not run twice: %s" % (
            code.co_name, wrong, calls - repeated))


def warm(code):
    """Runs it without being traced, so that its instructions get special forms."""
    for seed in range(100):
        repeated_once(code, seed, None)


def code_objects(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            for inner in code_objects(constant):
                yield inner


def write(code):
    table = getattr(code, "co_exceptiontable", b"")
    text = answers_by_unit(code, loops_of(code))
    forms = [code.co_code]
    # As it lies in memory once it was run, with instructions of special forms.
    if hasattr(code, "_co_code_adaptive"):
        forms.append(code._co_code_adaptive)
    for form in forms:
        print(sys.version_info[0] << 8 | sys.version_info[1], form.hex(), table.hex() or "-", text)


def library():
    for path in sorted(glob.glob(os.path.join(os.path.dirname(os.__file__), "*.py")))[::8]:
        with open(path, encoding="utf-8", errors="replace") as file:
            try:
                yield compile(file.read(), path, "exec")
            except (SyntaxError, ValueError):
                pass


def main():
    small = sys.argv[1:] == ["made"]
    for text in sources(small):
        for code in code_objects(compile(text, "<made>", "exec")):
            if code.co_name != "<module>":
                if not code.co_name.startswith(("<", "long_")):
                    check_by_running(code)
                    warm(code)
                write(code)
    if small:
        return
    for module in library():
        for code in code_objects(module):
            write(code)


main()
