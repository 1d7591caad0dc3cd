# SPDX-License-Identifier: BSD-2-Clause
"""Native code in tests: builds what workloads load, records them, and knows the truth about stacks.

What a recording says of machine code is compared with the files themselves, read here by the ELF
format alone, and with the return addresses that workloads/native_probe.c has noted.
"""
import bisect
import collections
import functools
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sysconfig

import harness
from interpreters import BUILD, WORKLOADS, Missing

RATE = 1999
LIBRARIES = os.path.join(BUILD, "e2e", "libraries")
# What is recorded where not all that there is matters.
FEW_PHASES = ["compress", "order", "quick_order", "finalize", "nest", "start_thread", "python_loop"]
LOOP = "_PyEval_EvalFrameDefault"
SOURCES = {"native_probe": ("native_probe.c", "-lpthread", "-ldl"),
           "native_late": ("native_library.c", "-DMODULE=native_late"),
           "native_deleted": ("native_library.c", "-DMODULE=native_deleted"),
           "holders_native": ("holders_native.c",),
           "native_exceptions": ("native_exceptions.cc",),
           # For a root without the run-time library of C++.
           "native_exceptions.static": ("native_exceptions.cc", "-static-libstdc++")}


def headers():
    """A directory with Python.h of any version from 3.7 on: the modules use the limited API."""
    path = sysconfig.get_path("include")
    if not os.path.exists(path + "/Python.h"):
        raise Missing("no Python.h in %s: install libpython3-dev" % path)
    return path


def compile_source(output, source, *options):
    """Compiles one file of the workloads, if it has changed since."""
    path = os.path.join(WORKLOADS, source)
    if os.path.exists(output) and os.path.getmtime(output) >= os.path.getmtime(path):
        return output
    os.makedirs(os.path.dirname(output), exist_ok=True)
    compiler = "g++" if source.endswith(".cc") else "gcc"
    if not shutil.which(compiler):
        raise Missing("no %s on this machine" % compiler)
    command = [compiler, "-O2", "-Wall", "-Wextra", "-Werror", path, *options, "-o", output + ".new"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, "%s\n%s" % (" ".join(command), done.stdout)
    os.rename(output + ".new", output)
    return output


def build_library(name):
    return compile_source(os.path.join(LIBRARIES, name + ".abi3.so"), *SOURCES[name], "-fPIC",
                          "-shared", "-fno-optimize-sibling-calls", "-I" + headers())


def libraries(interpreter, name):
    """A directory with all extension modules, as the interpreter sees it."""
    outside, inside = interpreter.share("%s-%s" % (interpreter.name, name))
    for module in ("native_probe", "native_late", "native_deleted"):
        shutil.copy(build_library(module), outside)
    exceptions = build_library("native_exceptions" + (".static" if interpreter.root else ""))
    shutil.copy(exceptions, outside + "/native_exceptions.abi3.so")
    return inside


def build_embedding(interpreter):
    """A program linked with the interpreter's shared library, and the interpreter's home."""
    if interpreter.root:
        raise Missing("%s has no shared library" % interpreter.name)
    variables = "LIBDIR", "LDLIBRARY", "prefix", "Py_ENABLE_SHARED"
    code = "import sysconfig; print(*map(sysconfig.get_config_var, %r), sep='\\n')" % (variables,)
    done = subprocess.run([interpreter.find(), "-c", code], stdout=subprocess.PIPE, text=True,
                          check=True)
    directory, library, prefix, shared = done.stdout.splitlines()
    path = os.path.join(directory, library)
    if shared != "1" or not library.endswith(".so") or not os.path.exists(path):
        raise Missing("%s has no shared library" % interpreter.name)
    program = os.path.join(LIBRARIES, "embedded-" + interpreter.name)
    compile_source(program, "native_embedded.c", path, "-Wl,-rpath," + directory)
    return program, prefix


def record(interpreter, command, name, seconds, *options, rate=RATE, **environ):
    """Records a running workload, which is told by SIGUSR1 that the recording has begun."""
    path = harness.output_path("%s-%s" % (interpreter.name, name))
    with harness.Workload(command, env=dict(os.environ, **environ)) as workload:
        with harness.Recorder("-p", workload.pid, "-d", seconds, "-r", rate, "-o", path, "-q",
                              *options) as recorder:
            recorder.wait_started()
            os.kill(workload.pid, signal.SIGUSR1)
            done = recorder.wait()
            assert done.returncode == 0, done.stderr
        truth = workload.stop()
    return Recording(interpreter, path, truth, done)


def record_calls(interpreter, name, seconds, *options, phases=(), arguments=(), **environ):
    command = interpreter.command("native_calls.py", "--libraries", libraries(interpreter, name),
                                  "--phases", ",".join(phases))
    script = next(at for at, each in enumerate(command) if each.endswith("native_calls.py"))
    command[script:script] = arguments
    return record(interpreter, command, name, seconds, *options, **environ)


def launch_calls(interpreter, name, seconds, phases):
    """Records the workload from the process' first moment to its end."""
    path = harness.output_path("%s-%s" % (interpreter.name, name))
    directory = libraries(interpreter, name)
    done = harness.run("record", "-r", RATE, "-o", path, "-q", "--", *interpreter.command(
        "native_calls.py", "--libraries", directory, "--phases", ",".join(phases),
        "--truth", directory + "/truth", "--seconds", str(seconds)))
    assert done.returncode == 0, done.stderr
    with open(interpreter.outside(directory) + "/truth") as file:
        truth = json.load(file)
    return Recording(interpreter, path, truth, done)


def record_embedding(interpreter, seconds, phases):
    program, home = build_embedding(interpreter)
    command = interpreter.command("native_calls.py", "--libraries",
                                  libraries(interpreter, "embedded"), "--phases", ",".join(phases))
    command = [program] + [each for each in command[1:] if each != "-B"]
    return record(interpreter, command, "embedded", seconds, PYTHONHOME=home,
                  PYTHONDONTWRITEBYTECODE="1")


def install_numpy(interpreter, environment):
    """A directory with numpy for the interpreter, if there is a wheel of it."""
    version = "%d.%d" % interpreter.version
    directory = os.path.join(BUILD, "e2e", "numpy-" + version)
    if interpreter.root:
        raise Missing("numpy needs libraries that are not in %s" % interpreter.root)
    if not os.path.exists(directory + "/complete"):
        shutil.rmtree(directory, ignore_errors=True)
        done = subprocess.run(
            [environment + "/bin/pip", "install", "--quiet", "--disable-pip-version-check",
             "--no-deps", "--only-binary=:all:", "--python-version", version, "--target", directory,
             "numpy"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        if done.returncode:
            raise Missing("no numpy for %s: %s" % (version, done.stdout[-300:]))
        open(directory + "/complete", "w").close()
    return directory


def record_numpy(interpreter, packages, seconds):
    command = interpreter.command("native_numpy.py", "--packages", packages)
    return record(interpreter, command, "numpy", seconds, OPENBLAS_NUM_THREADS="1")


class Recording(harness.Recording):
    """A recording whose samples' native frames can be compared with the target's files."""

    def __init__(self, interpreter, path, truth, done):
        super().__init__(path, truth, done)
        self.root = interpreter.root

    def file(self, path):
        """A file as the tests see it; that of a deleted library is where it was built."""
        inside = os.path.realpath(self.root + path)
        built = os.path.join(LIBRARIES, base_name(path))
        return next(filter(os.path.exists, (inside, os.path.realpath(path), built)), None)

    @functools.lru_cache(maxsize=None)
    def elf(self, path):
        file = self.file(path)
        return read_elf(file, self.root) if file else None

    @functools.lru_cache(maxsize=None)
    def base_name(self, path):
        """The name of the file that a path leads to."""
        return base_name(self.file(path) or path)

    def module(self, frame):
        return self.base_name(frame.module)

    def count(self, samples):
        """Samples taken: equal ones are one in the file."""
        return sum(each.seconds for each in samples) * 1e9 / self.profile.period


def base_name(path):
    return os.path.basename(re.sub(r" \(deleted\)$", "", path))


# The ELF format, 64 bit and little endian.
class Elf:
    """What a file says of its own code. `symbols` are (start, end, name), in order."""

    def __init__(self, path, debug_root=None):
        with open(path, "rb") as file:
            self.data = file.read()
        assert self.data[:6] == b"\x7fELF\x02\x01", path
        self.entry, headers, sections = struct.unpack_from("<QQQ", self.data, 24)
        size, count, section_size, section_count = struct.unpack_from("<HHHH", self.data, 54)
        # (type, flags, offset, address, physical address, bytes in the file, in memory, align)
        self.segments = [struct.unpack_from("<IIQQQQQQ", self.data, headers + size * at)
                         for at in range(count)]
        # (name, type, flags, address, offset, size, link, info, align, entry size)
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", self.data, sections + section_size * at)
                         for at in range(section_count)]
        self.build_id = next(self.find_build_ids(), "")
        self.symbols = sorted(self.read_symbols())
        if debug_root is not None and self.build_id:
            debug = "%s/usr/lib/debug/.build-id/%s/%s.debug" % (debug_root, self.build_id[:2],
                                                               self.build_id[2:])
            if os.path.exists(debug):
                self.symbols = sorted(self.symbols + Elf(debug).symbols)
        self.starts = [start for start, _, _ in self.symbols]
        self.largest = max([end - start for start, end, _ in self.symbols] or [0])
        del self.data

    def find_build_ids(self):
        for kind, _, offset, _, _, size, _, _ in self.segments:
            end = offset + size
            while kind == 4 and offset + 12 <= end:  # PT_NOTE
                name, length, note = struct.unpack_from("<III", self.data, offset)
                at = offset + 12 + (name + 3) // 4 * 4
                if note == 3 and self.data[offset + 12:offset + 16] == b"GNU\0":
                    yield self.data[at:at + length].hex()
                offset = at + (length + 3) // 4 * 4

    def read_symbols(self):
        for _, kind, _, _, offset, size, link, *_ in self.sections:
            if kind not in (2, 11):  # SHT_SYMTAB, SHT_DYNSYM
                continue
            strings = self.sections[link][4]
            for name, info, _, section, value, length in struct.iter_unpack(
                    "<IBBHQQ", self.data[offset:offset + size]):
                if section and info & 15 in (0, 2, 10):  # no type, a function, an indirect one
                    end = self.data.index(b"\0", strings + name)
                    text = self.data[strings + name:end].decode("utf-8", "replace")
                    if text:
                        yield value, value + length, text

    def names(self, address):
        """The names of the functions that hold an address."""
        found, at = set(), bisect.bisect_right(self.starts, address)
        while at > 0 and self.starts[at - 1] >= address - self.largest:
            at -= 1
            if address < self.symbols[at][1]:
                found.add(self.symbols[at][2])
        return found

    def start(self, address):
        """Where the function that holds an address begins; None: no symbol says it."""
        at = bisect.bisect_right(self.starts, address)
        while at > 0 and self.starts[at - 1] >= address - self.largest:
            at -= 1
            if address < self.symbols[at][1]:
                return self.symbols[at][0]
        return None

    def executable(self, address):
        return any(kind == 1 and flags & 1 and start <= address < start + size
                   for kind, flags, _, start, _, _, size, _ in self.segments)

    @functools.cached_property
    def unsized(self):
        """Names of what hand-written code does not tell the size of: it may reach anywhere."""
        return {name for start, end, name in self.symbols if start == end}

    @functools.cached_property
    def all_names(self):
        return {name for _, _, name in self.symbols}


@functools.lru_cache(maxsize=None)
def read_elf(path, root):
    return Elf(path, root)


@functools.lru_cache(maxsize=None)
def demangled(name):
    """The name without parameters, with what a compiler adds to those of a function's parts."""
    if not name.startswith("_Z"):
        return name
    name, dot, part = name.partition(".")
    return subprocess.run(["c++filt", "-p", name], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip() + dot + part


def check_locations(recording):
    """Compares all native locations with the files: returns sentences on what is wrong."""
    profile, wrong = recording.profile, collections.Counter()
    for mapping in profile.mappings.values():
        path, build_id = (profile.text(mapping.get(at, 0)) for at in (5, 6))
        elf = recording.elf(path) if path.startswith("/") else None
        if elf and build_id != elf.build_id:
            wrong["%s has build-id %s, not %s" % (path, elf.build_id, build_id)] += 1
        if not elf and not path.startswith("["):
            wrong["no file is named %r" % path] += 1
        if path.endswith(" (deleted)"):
            wrong["a module's name is not what the kernel adds to it: " + path] += 1
    for id, location in profile.locations.items():
        for frame in profile.frames[id]:
            if frame.native and not frame.notice:
                problem = location_problem(recording, location, frame)
                if problem:
                    wrong["%s + %#x, %s: %s" % (frame.module, frame.address, frame.name,
                                                problem)] += 1
    return ["%d × %s" % (count, what) for what, count in wrong.most_common(12)]


def location_problem(recording, location, frame):
    mapping = recording.profile.mappings.get(location.get(2, 0))
    if not mapping:
        return None  # generated code is in no file
    if not mapping.get(2, 0) <= frame.address < mapping.get(3, 0):
        return "is not inside its mapping"
    elf = recording.elf(frame.module) if frame.module.startswith("/") else None
    if not elf:
        return None
    if not elf.executable(frame.address):
        return "is no code"
    names = elf.names(frame.address)
    if names and frame.name not in {demangled(name) for name in names} | names:
        return "is in " + ", ".join(sorted(names))
    if not names and frame.name in elf.all_names - elf.unsized:
        return "is in no function with a name"
    return None


# The truth that native_probe has noted.
class Truth:
    """Stacks above what burns: for each burner the frames of its callers, outermost first.

    A frame is (module, address of return, start of its function).
    """

    def __init__(self, recording):
        assert not recording.truth["noted_lost"], "more stacks than the workload can note"
        self.recording = recording
        self.stacks = collections.defaultdict(list)
        self.paths = {}
        for burner, frames in recording.truth["noted"]:
            self.stacks[burner].append([self.frame(*each) for each in frames])
        self.outermost = {stack[0][:2] for stacks in self.stacks.values() for stack in stacks}

    def frame(self, path, address, start):
        module = self.recording.base_name(path)
        self.paths[module] = path
        return module, address, start

    def loops(self):
        """What can be the interpreter's loop: sets of functions by their starts.

        It is known by name, and has several parts; without names it is one of those that are in
        all stacks.
        """
        stacks = [{(module, start) for module, _, start in stack}
                  for stacks in self.stacks.values() for stack in stacks]
        named = {each for each in set.union(*stacks) if self.is_loop(*each)}
        return [named] if named else [{each} for each in set.intersection(*stacks)]

    def is_loop(self, module, start):
        elf = self.recording.elf(self.paths[module])
        return bool(elf) and any(name.split(".")[0] == LOOP for name in elf.names(start))

    @functools.lru_cache(maxsize=None)
    def passes_on(self, module, start):
        elf = self.recording.elf(self.paths[module])
        return any(re.match(r"_?Py(Object|Vectorcall|CFunction|Function|Eval)_", name)
                   for name in (elf.names(start) if elf else ()))

    def is_complete(self, sample):
        """Whether the stack reaches the first function of its thread, with nothing left out."""
        native = [frame for frame in sample.stack if frame.native]
        if not native or any(frame.notice for frame in native) or sample.stack[0].kernel:
            return False
        module, address = self.recording.module(native[0]), native[0].address
        return any((module, address + add) in self.outermost for add in (0, 1))

    def fits(self, stack, noted, loops):
        """Whether a sample's frames are the noted ones, Python's in the place of the loops'.

        Of the interpreter's other functions those may be missing that pass on calls: all next to a
        loop, others by their names.
        """
        at = python = missing = 0
        looped = False  # since the last frame that is shown
        for module, address, start in noted:
            if (module, start) in loops:
                while at < len(stack) and stack[at].python:
                    at, python = at + 1, python + 1
                if not python:
                    return False
                python, looped = python - 1, True  # the rest is of a loop that follows at once
            elif (at < len(stack) and stack[at].native
                  and self.recording.module(stack[at]) == module
                  and stack[at].address in (address, address - 1)):
                if missing and not looped:
                    return False
                at, python, missing, looped = at + 1, 0, 0, False
            elif not any(module == loop_module for loop_module, _ in loops):
                return False
            else:
                missing += not self.passes_on(module, start)
        return at == len(stack) and (looped or not missing)
