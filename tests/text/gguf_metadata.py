"""Metadata of a GGUF file that we trust (the product has its own reader, for files that it does not trust)."""
import struct

FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


def read_metadata(file):
    """Name to value, from a binary file at its start."""

    def take(layout):
        return struct.unpack(layout, file.read(struct.calcsize(layout)))

    def text():
        return file.read(take("<Q")[0]).decode("utf-8", "replace")

    def value(kind):
        if kind == STRING:
            return text()
        if kind == ARRAY:
            of, count = take("<IQ")
            if of in FORMATS:
                return list(take(f"<{count}{FORMATS[of]}"))
            return [value(of) for _ in range(count)]
        return take("<" + FORMATS[kind])[0]

    magic, _, _, count = take("<4sIQQ")
    assert magic == b"GGUF", magic
    return {text(): value(take("<I")[0]) for _ in range(count)}
