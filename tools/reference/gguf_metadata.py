"""The metadata of a GGUF file as a dictionary: the gguf package takes a minute for a large vocabulary.

The layout is that of the GGUF specification (ggml's docs/gguf.md), versions 2 and 3, little-endian.
"""

import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


class Reader:
    def __init__(self, data):
        self.data, self.place = data, 0

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.place)
        self.place += struct.calcsize("<" + form)
        return values

    def string(self):
        (length,) = self.take("Q")
        self.place += length
        return self.data[self.place - length : self.place].decode("utf-8", "surrogateescape")

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind != ARRAY:
            return self.take(SCALARS[kind])[0]
        kind, count = self.take("IQ")
        if kind in SCALARS:
            return list(self.take(f"{count}{SCALARS[kind]}"))
        return [self.value(kind) for _ in range(count)]


def read(path):
    with open(path, "rb") as file:
        reader = Reader(file.read())
    magic, version, _, count = reader.take("4sIQQ")
    if magic != b"GGUF" or version not in (2, 3):
        raise SystemExit(f"{path}: no GGUF file of version 2 or 3")
    pairs = {}
    for _ in range(count):
        key = reader.string()
        (kind,) = reader.take("I")
        pairs[key] = reader.value(kind)
    return pairs
