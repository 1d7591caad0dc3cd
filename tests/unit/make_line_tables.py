# SPDX-License-Identifier: BSD-2-Clause
"""Prints line tables of code objects with the lines that this very interpreter gives them.

    make_line_tables.py [LIMIT]

One code object a line: format, co_firstlineno, the table in hex, and the line of each code unit
from offset 0 on, run-length encoded: `7*3` is line 7 for 3 units, `-*1` no line for one. The lines
come from the interpreter's own PyCode_Addr2Line(), not from any reimplementation. LIMIT keeps
that many code objects, evenly spread: 3.8 to 3.15 print thousands. Runs on 3.6 and later.
"""
import ctypes
import glob
import os
import sys
import types

STRANGE = '''
x = [
    i
    for i in range(9)
    if i %
       2
]


@property
@(lambda f:
  f)
def decorated(
    a=1,
    b=[n
       for n in (1,
                 2)],
):
    return a \\
        + b


def backwards(f, g, h):
    return f(
        g(1,
          2),
        h(
            3)(
        ),
        *[
            g
        ],
        **{"k":
           h})


class Body(object,
           metaclass=type):
    """doc"""
    a = 1

    def method(self): pass; return (lambda:
        0)

    def handler(self):
        try:
            with open(
                "x"
            ) as f, open(
                "y") as g:
                while True:
                    if f:
                        continue
                    break
        except (OSError,
                ValueError) as e:
            raise
        else:
            assert f, (
                g)
        finally:
            del self


async def coroutine(a):
    async for b in a:
        await b
    return {c: d async for c,
            d in a}


def generator():
    x = yield
    yield from (
        x)
'''
# Far apart, so that one increment of a byte does not reach; and code longer than 255 units a line.
STRANGE += "def far():\n    a = 1\n" + "\n" * 300 + "    b = 2\n" + "\n" * 40000 + "    return a\n"
STRANGE += "def wide():\n    return [" + ", ".join("a%d.b" % i for i in range(150)) + "]\n"
STRANGE += "def back():\n    return f(\n" + "\n" * 500 + "        g(1)\n" + "\n" * 500 + "    )(2)\n"
STRANGE += "def same(a): return a; b = 1; c = 2\n"


def line_format():
    version = sys.version_info[:2]
    return 0 if version < (3, 10) else 1 if version == (3, 10) else 2


def table_of(code):
    return code.co_lnotab if line_format() == 0 else code.co_linetable


def code_objects(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            for inner in code_objects(constant):
                yield inner


def sources():
    yield "<strange>", STRANGE
    yield "<shifted>", "\n" * 70000 + STRANGE
    folder = os.path.dirname(os.__file__)
    for path in sorted(glob.glob(os.path.join(folder, "*.py"))):
        with open(path, encoding="utf-8", errors="replace") as file:
            yield path, file.read()


def lines_of(code):
    ask = ctypes.pythonapi.PyCode_Addr2Line
    ask.argtypes, ask.restype = [ctypes.py_object, ctypes.c_int], ctypes.c_int
    runs = []
    for offset in range(0, len(code.co_code), 2):
        line = ask(code, offset)
        if runs and runs[-1][0] == line:
            runs[-1][1] += 1
        else:
            runs.append([line, 1])
    return ",".join("%s*%d" % ("-" if line < 0 else line, count) for line, count in runs)


def main():
    found = {}
    for path, text in sources():
        try:
            module = compile(text, path, "exec")
        except (SyntaxError, ValueError):
            continue
        for code in code_objects(module):
            key = table_of(code), code.co_firstlineno
            found.setdefault(key, code)
    codes = list(found.values())
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else len(codes)
    # All of the strange ones, and of the others as many as there is room for.
    first = [code for code in codes if code.co_filename.startswith("<")]
    others = [code for code in codes
              if not code.co_filename.startswith("<") and len(code.co_code) < 400]
    if limit < len(codes):
        room = max(limit - len(first) // 2, 1)
        codes = [code for code in first if code.co_filename == "<strange>"] + others[::max(len(others) // room, 1)][:room]
    for code in codes:
        print(line_format(), code.co_firstlineno, table_of(code).hex() or "-", lines_of(code) or "-")


main()
