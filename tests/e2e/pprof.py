# SPDX-License-Identifier: BSD-2-Clause
"""Reads pprof files by the wire format alone, so that the tests do not trust pyebpf's own reader.

Checks what a strict reader checks: ids exist, are unique and not 0, string 0 is empty.
"""
import gzip


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def signed(value):
    return value - (1 << 64) if value >= 1 << 63 else value


def fields(data):
    """Yields (number, value) of one message; bytes for what has a length."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            assert len(value) == size, "a message ends early"
        else:
            raise ValueError("wire type %d" % (tag & 7))
        yield tag >> 3, value


def numbers(value):
    """A repeated integer, packed or not."""
    if isinstance(value, int):
        return [signed(value)]
    result, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        result.append(signed(number))
    return result


def message(data, repeated=()):
    result = {number: [] for number in repeated}
    for number, value in fields(data):
        if number in result and isinstance(result[number], list):
            result[number] += numbers(value) if repeated[number] == "numbers" else [value]
        else:
            result[number] = value
    return result


KERNEL = "[kernel.kallsyms]"
NO_CODE = 4096  # addresses below are of frames that are none, but say something of the stack


class Frame(tuple):
    """(name, file, first line, line), whether it is Python, and what is native: module, address."""

    __slots__ = ()
    name = property(lambda self: self[0])
    file = property(lambda self: self[1])
    first = property(lambda self: self[2])
    line = property(lambda self: self[3])
    python = property(lambda self: self[4])
    module = property(lambda self: self[5])   # path of the mapped file; "": in none
    address = property(lambda self: self[6])  # in the module's own addresses
    kernel = property(lambda self: self.module == KERNEL)
    native = property(lambda self: not self.python and not self.kernel)
    notice = property(lambda self: self.native and not self.module and self.address < NO_CODE)


class Sample:
    """`stack` is outermost first, `labels` a dictionary, `values` by name of the sample type."""

    def __init__(self, stack, values, labels):
        self.stack, self.values, self.labels = stack, values, labels
        self.python = [frame for frame in stack if frame.python]

    state = property(lambda self: self.labels.get("state"))
    seconds = property(lambda self: (self.values["cpu"] + self.values["wait"]) / 1e9)
    waits = property(lambda self: self.values["waits"])


class Profile:
    def __init__(self, path):
        with gzip.open(path) as file:
            top = message(file.read(), {1: "messages", 2: "messages", 3: "messages",
                                        4: "messages", 5: "messages", 6: "messages",
                                        13: "numbers"})
        self.strings = [text.decode("utf-8") for text in top[6]]
        assert self.strings[0] == ""
        self.types = [tuple(self.text(m.get(i, 0)) for i in (1, 2)) for m in map(message, top[1])]
        self.period_type = tuple(self.text(message(top.get(11, b"")).get(i, 0)) for i in (1, 2))
        self.period = top.get(12, 0)
        self.time_ns, self.duration_ns = top.get(9, 0), top.get(10, 0)
        self.comments = [self.text(index) for index in top[13]]
        self.mappings = self.by_id(map(message, top[3]))
        self.functions = self.by_id(map(message, top[5]))
        self.locations = self.by_id(message(m, {4: "messages"}) for m in top[4])
        self.frames = {id: self.frame(location) for id, location in self.locations.items()}
        self.samples = [self.sample(m) for m in top[2]]

    def text(self, index):
        return self.strings[index]

    @staticmethod
    def by_id(messages):
        result = {}
        for item in messages:
            assert item.get(1, 0) and item[1] not in result, "id 0 or twice"
            result[item[1]] = item
        return result

    def frame(self, location):
        mapping, address = location.get(2, 0), location.get(3, 0)
        assert not mapping or mapping in self.mappings
        module = self.text(self.mappings[mapping].get(5, 0)) if mapping else ""
        if not location[4]:
            return [Frame((hex(address), "", 0, 0, False, module, address))]
        result = []
        for line in map(message, location[4]):
            function = self.functions[line[1]]
            name, system, file = (self.text(function.get(i, 0)) for i in (2, 3, 4))
            assert not system, "system_name must stay empty: " + system
            python = not mapping and not address
            result.append(Frame((name, file, function.get(5, 0), signed(line.get(2, 0)), python,
                                 module, address)))
        return result[::-1]

    def sample(self, data):
        parts = message(data, {1: "numbers", 2: "numbers", 3: "messages"})
        assert len(parts[2]) == len(self.types)
        labels = {}
        for label in map(message, parts[3]):
            key = self.text(label[1])
            assert key and key not in labels, "label without a key, or twice"
            labels[key] = self.text(label[2]) if label.get(2) else signed(label.get(3, 0))
        stack = [frame for id in parts[1][::-1] for frame in self.frames[id]]
        return Sample(stack, dict(zip((kind for kind, _ in self.types), parts[2])), labels)
