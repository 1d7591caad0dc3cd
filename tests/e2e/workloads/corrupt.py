# SPDX-License-Identifier: BSD-2-Clause
"""A real interpreter that damages its own code objects and frames, of threads that sleep in C.

Prints "ready", waits for SIGUSR1 with all still right, then writes into its own memory where a
thread's function says, and goes on until it is killed. Runs on CPython 3.7 to 3.15.
"""
import ctypes
import signal
import sys
import threading
import time

WORD = ctypes.sizeof(ctypes.c_void_p)
KEPT = []  # what must never be freed
PLACES = {"null": 0, "one": 1, "kernel": 0xffffffff81000000, "noncanonical": 0x8000000000000000,
          "high": 0x7ffffffff000}


def word_at(address):
    return ctypes.c_uint64.from_address(address)


def fields(address, value, size=512):
    """Where in an object a pointer lies."""
    return [address + at for at in range(2 * WORD, size, WORD)
            if word_at(address + at).value == value]


def replace_pointer(owner, pointed, value, size=160):
    places = fields(id(owner), id(pointed), size)
    for place in places:
        word_at(place).value = value
    return bool(places)


def line_table(code):
    return code.co_linetable if hasattr(code, "co_linetable") else code.co_lnotab


def names(code):
    return {id(each): each for each in (code.co_name, getattr(code, "co_qualname", code.co_name))}


def damage_name(code, frame, value):
    for name in names(code).values():
        replace_pointer(code, name, value)


def damage_name_null(code, frame):
    damage_name(code, frame, 0)


def damage_name_kernel(code, frame):
    damage_name(code, frame, PLACES["kernel"])


def damage_name_number(code, frame):
    KEPT.append(1 << 200)
    damage_name(code, frame, id(KEPT[-1]))


def damage_name_noncanonical(code, frame):
    damage_name(code, frame, PLACES["noncanonical"])


def damage_name_length(code, frame):
    for name in names(code).values():
        word_at(id(name) + 2 * WORD).value = 1 << 30


def damage_name_negative(code, frame):
    for name in names(code).values():
        word_at(id(name) + 2 * WORD).value = (1 << 64) - 5


def damage_file(code, frame):
    replace_pointer(code, code.co_filename, PLACES["high"])


def damage_lines(code, frame):
    replace_pointer(code, line_table(code), PLACES["one"])


def damage_lines_length(code, frame):
    word_at(id(line_table(code)) + 2 * WORD).value = 1 << 40


def damage_lines_negative(code, frame):
    word_at(id(line_table(code)) + 2 * WORD).value = (1 << 64) - 1


def damage_lines_contents(code, frame):
    table = line_table(code)
    ctypes.memset(id(table) + 4 * WORD, 0x7f, len(table))


def damage_type(code, frame):
    word_at(id(code) + WORD).value = id(str)


def damage_frames_cycle(code, frame):
    """Its caller's caller is itself: up to 3.10 frames are objects, later they are behind them."""
    outer = frame.f_back
    if sys.version_info < (3, 11):
        replace_pointer(outer, outer.f_back, id(frame), 64)
        return
    inner_frame, outer_frame = (word_at(id(each) + 3 * WORD).value for each in (frame, outer))
    beyond = word_at(id(outer.f_back) + 3 * WORD).value
    for place in fields(outer_frame - 2 * WORD, beyond, 96):
        word_at(place).value = inner_frame


def damage_frames_garbage(code, frame):
    outer = frame.f_back
    if sys.version_info < (3, 11):
        replace_pointer(frame, outer, PLACES["high"], 64)
        return
    inner_frame, outer_frame = (word_at(id(each) + 3 * WORD).value for each in (frame, outer))
    for place in fields(inner_frame - 2 * WORD, outer_frame, 96):
        word_at(place).value = PLACES["high"]


def nap(name):
    """Sleeps for ever in a function of its own, of which nobody has seen the code when it is damaged."""
    source = ("def victim_%s():\n    while True:\n        sleep(1e6)\n"
              "def outer_%s():\n    victim_%s()\n" % (name, name, name))
    space = {"sleep": time.sleep}
    exec(compile(source, "/corrupt/%s.py" % name, "exec"), space)
    KEPT.append(space)
    still.wait()
    space["outer_" + name]()


def honest():
    while True:
        end = time.monotonic() + 0.01
        while time.monotonic() < end:
            pass
        time.sleep(0.01)


still = threading.Event()
damages = {name[len("damage_"):]: function for name, function in sorted(globals().items())
           if name.startswith("damage_") and name != "damage_name"}
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
threads = {name: threading.Thread(target=nap, args=(name,), daemon=True) for name in damages}
for thread in threads.values():
    thread.start()
threading.Thread(target=honest, daemon=True).start()
print("ready", flush=True)
signal.sigwait([signal.SIGUSR1])
still.set()
time.sleep(0.2)
frames = sys._current_frames()
KEPT.append(frames)
for name, damage in damages.items():
    frame = frames[threads[name].ident]
    KEPT.append((frame, frame.f_back, frame.f_code))
    damage(frame.f_code, frame)
print("damaged", flush=True)
while True:
    time.sleep(0.01)
