"""Metadata of GGUF files that we trust, read and written. The product has its own reader, for files that it does not trust."""
import struct

FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
VERSION = 3


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, layout):
        values = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return values

    def text(self):
        (length,) = self.take("<Q")
        self.at += length
        return self.data[self.at - length:self.at].decode("utf-8")

    def value(self, kind):
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            item, count = self.take("<IQ")
            if item in FORMATS:
                return list(self.take(f"<{count}{FORMATS[item]}"))
            return [self.value(item) for _ in range(count)]
        return self.take("<" + FORMATS[kind])[0]


def parse(data):
    """{name: value} of the bytes of a file."""
    reader = Reader(data)
    magic, _, _, count = reader.take("<4sIQQ")
    assert magic == b"GGUF", magic
    fields = {}
    for _ in range(count):
        name = reader.text()
        fields[name] = reader.value(reader.take("<I")[0])
    return fields


def read(path):
    return parse(path.read_bytes())


def text_bytes(text):
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def value_bytes(value):
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", UINT32, value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + text_bytes(value)
    if isinstance(value, bytes):
        return struct.pack("<IIQ", ARRAY, 0, len(value)) + value
    if isinstance(value[0], str):
        return struct.pack("<IIQ", ARRAY, STRING, len(value)) + b"".join(map(text_bytes, value))
    kind, code = (FLOAT32, "f") if isinstance(value[0], float) else (INT32, "i")
    return struct.pack(f"<IIQ{len(value)}{code}", ARRAY, kind, len(value), *value)


def write(path, fields):
    """A file without tensors: bool, unsigned, text, bytes, and lists of text, float or int."""
    body = b"".join(text_bytes(name) + value_bytes(value) for name, value in fields.items())
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", VERSION, 0, len(fields)) + body)
