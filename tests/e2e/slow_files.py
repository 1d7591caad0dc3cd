# SPDX-License-Identifier: BSD-2-Clause
"""A file system that takes its time: each read and each fsync is answered after DELAY.

Speaks the kernel's FUSE protocol (include/uapi/linux/fuse.h) over /dev/fuse by itself. Every name
that is opened exists, is a file of SIZE zero bytes, or a directory if it begins with "d"; files
whose name begins with "m" can be mapped, all others are read past the page cache. Files that are
removed or renamed keep their contents. The kernel asks for one page at a time.
"""
import ctypes
import errno
import os
import stat
import struct
import threading
import time

DELAY = 0.020  # seconds
SIZE = 1 << 20
PAGE = 4096
LOOKUP, FORGET, GETATTR, SETATTR, UNLINK, RENAME, OPEN, READ, RELEASE, FSYNC, FLUSH, INIT = \
    1, 2, 3, 4, 10, 12, 14, 15, 18, 20, 25, 26
BATCH_FORGET, RENAME2 = 42, 45
DIRECT_IO = 1  # FOPEN_DIRECT_IO
DETACH = 2  # MNT_DETACH
FOR_EVER = 3600


def attributes(node, directory):
    mode = stat.S_IFDIR | 0o755 if directory else stat.S_IFREG | 0o644
    return struct.pack("<QQQQQQIIIIIIIIII", node, SIZE, SIZE // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0,
                       0, 0, PAGE, 0)


class SlowFiles:
    """A context manager: mounted on `directory` while it lasts. Raises OSError if that cannot be."""

    def __init__(self, directory):
        self.directory = directory
        self.nodes, self.numbers = {1: (1, b"d")}, {}
        self.asked = {READ: 0, FSYNC: 0}

    def __enter__(self):
        self.descriptor = os.open("/dev/fuse", os.O_RDWR)
        self.library = ctypes.CDLL(None, use_errno=True)
        options = "fd=%d,rootmode=40755,user_id=0,group_id=0" % self.descriptor
        if self.library.mount(b"slow", self.directory.encode(), b"fuse.slow", 0, options.encode()):
            os.close(self.descriptor)
            raise OSError(ctypes.get_errno(), "mount of a FUSE file system")
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.library.umount2(self.directory.encode(), DETACH)
        self.thread.join(20)
        os.close(self.descriptor)

    def serve(self):
        while True:
            try:
                request = os.read(self.descriptor, 1 << 18)
            except OSError as error:
                if error.errno == errno.ENODEV:  # no longer mounted
                    return
                if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue
                raise
            _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
            threading.Thread(target=self.reply, args=(opcode, unique, node, request[40:])).start()

    def reply(self, opcode, unique, node, body):
        if opcode in (FORGET, BATCH_FORGET):
            return
        number, data = 0, b""
        try:
            data = self.answer(opcode, node, body)
        except OSError as error:
            number = error.errno
        try:
            os.write(self.descriptor, struct.pack("<IiQ", 16 + len(data), -number, unique) + data)
        except OSError:
            pass  # the one who asked has gone

    def answer(self, opcode, node, body):
        if opcode == INIT:
            return struct.pack("<IIIIHHIIHHI", 7, 31, 0, 0, 16, 12, PAGE, 1, 1, 0, 0) + bytes(28)
        if opcode == LOOKUP:
            return self.look_up(node, body.split(b"\0")[0])
        if opcode in (GETATTR, SETATTR):
            return struct.pack("<QII", FOR_EVER, 0, 0) + attributes(node, self.is_directory(node))
        if opcode == OPEN:
            direct = not self.nodes[node][1].startswith(b"m")
            return struct.pack("<QII", 0, DIRECT_IO if direct else 0, 0)
        if opcode == READ:
            self.wait(READ)
            return bytes(struct.unpack_from("<QQI", body)[2])
        if opcode == FSYNC:
            self.wait(FSYNC)
            return b""
        if opcode in (UNLINK, RENAME, RENAME2, RELEASE, FLUSH):
            return b""
        raise OSError(errno.ENOSYS, "not needed")

    def wait(self, opcode):
        self.asked[opcode] += 1
        time.sleep(DELAY)

    def is_directory(self, node):
        return self.nodes[node][1].startswith(b"d")

    def look_up(self, parent, name):
        if name.startswith(b"new"):
            raise OSError(errno.ENOENT, "is the new name of another")
        node = self.numbers.setdefault((parent, name), len(self.nodes) + 1)
        self.nodes[node] = parent, name
        return struct.pack("<QQQQII", node, 0, FOR_EVER, FOR_EVER, 0, 0) + \
            attributes(node, self.is_directory(node))
