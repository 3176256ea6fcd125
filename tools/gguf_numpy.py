"""GGUF files in numpy: a reader that dequantises, a writer, and the reference quantisers. For references and tests, not for speed.

Block layouts and quantisers follow the GGUF specification and ggml's reference functions (quantize_row_q4_1_ref, quantize_row_q8_0_ref).
"""

import struct

import numpy as np

MAGIC = b"GGUF"
ALIGNMENT = 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
NUMPY_SCALARS = {0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8"}

F32, F16, Q4_1, Q8_0 = 0, 1, 3, 8
TYPE_IDS = {"F32": F32, "F16": F16, "Q4_1": Q4_1, "Q8_0": Q8_0}
BLOCKS = {F32: (1, 4), F16: (1, 2), Q4_1: (32, 20), Q8_0: (32, 34)}  # elements, bytes

Q4_1_BLOCK = np.dtype([("d", "<f2"), ("m", "<f2"), ("qs", "u1", 16)])
Q8_0_BLOCK = np.dtype([("d", "<f2"), ("qs", "i1", 32)])


def quantize(values, type_id):
    """Bytes of a [rows, cols] float32 array in the given type."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    if type_id == F32:
        return values.tobytes()
    if type_id == F16:
        return values.astype("<f2").tobytes()
    blocks = values.reshape(-1, 32)
    return (quantize_q4_1 if type_id == Q4_1 else quantize_q8_0)(blocks).tobytes()


def quantize_q4_1(blocks):
    low, high = blocks.min(axis=1), blocks.max(axis=1)
    d = (high - low) / np.float32(15)
    inverse = np.divide(np.float32(1), d, out=np.zeros_like(d), where=d != 0)
    q = np.minimum(15, np.floor((blocks - low[:, None]) * inverse[:, None] + np.float32(0.5))).astype(np.uint8)
    out = np.zeros(len(blocks), Q4_1_BLOCK)
    out["d"], out["m"] = d, low
    out["qs"] = q[:, :16] | (q[:, 16:] << 4)
    return out


def quantize_q8_0(blocks):
    d = np.abs(blocks).max(axis=1) / np.float32(127)
    inverse = np.divide(np.float32(1), d, out=np.zeros_like(d), where=d != 0)
    x = blocks * inverse[:, None]
    out = np.zeros(len(blocks), Q8_0_BLOCK)
    out["d"] = d
    out["qs"] = np.trunc(x + np.copysign(np.float32(0.5), x))  # halves away from zero
    return out


def dequantize(data, shape, type_id, dtype):
    """The exact values of a tensor's bytes (exact when dtype is float64)."""
    if type_id in (F32, F16):
        return np.frombuffer(data, "<f4" if type_id == F32 else "<f2").astype(dtype).reshape(shape)
    if type_id == Q4_1:
        blocks = np.frombuffer(data, Q4_1_BLOCK)
        q = np.concatenate([blocks["qs"] & 15, blocks["qs"] >> 4], axis=1).astype(dtype)
        return (q * blocks["d"].astype(dtype)[:, None] + blocks["m"].astype(dtype)[:, None]).reshape(shape)
    if type_id == Q8_0:
        blocks = np.frombuffer(data, Q8_0_BLOCK)
        return (blocks["qs"].astype(dtype) * blocks["d"].astype(dtype)[:, None]).reshape(shape)
    raise ValueError(f"tensor type {type_id} is not one of {TYPE_IDS}")


class Reader:
    """metadata: key -> value (arrays as lists or numpy arrays). tensors: name -> (shape outermost first, type id, bytes)."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = file.read()
        self.at = 4
        if self.bytes[:4] != MAGIC or self._scalar(4) not in (2, 3):
            raise ValueError(f"{path}: not a GGUF file of version 2 or 3")
        tensor_count, entry_count = self._scalar(10), self._scalar(10)
        self.metadata = {}
        for _ in range(entry_count):
            key = self._string()
            self.metadata[key] = self._value(self._scalar(4))
        infos = [self._tensor_info() for _ in range(tensor_count)]
        alignment = self.metadata.get("general.alignment", ALIGNMENT)
        start = (self.at + alignment - 1) // alignment * alignment
        self.tensors = {}
        for name, shape, type_id, offset in infos:
            elements, size = BLOCKS[type_id]
            length = int(np.prod(shape)) // elements * size
            self.tensors[name] = (shape, type_id, memoryview(self.bytes)[start + offset : start + offset + length])

    def tensor(self, name, dtype=np.float32):
        shape, type_id, data = self.tensors[name]
        return dequantize(data, shape, type_id, dtype)

    def _scalar(self, type_id):
        format_ = SCALARS[type_id]
        (value,) = struct.unpack_from(format_, self.bytes, self.at)
        self.at += struct.calcsize(format_)
        return value

    def _string(self):
        length = self._scalar(10)
        self.at += length
        return self.bytes[self.at - length : self.at].decode("utf-8", errors="surrogateescape")

    def _value(self, type_id):
        if type_id == STRING:
            return self._string()
        if type_id != ARRAY:
            return self._scalar(type_id)
        element, count = self._scalar(4), self._scalar(10)
        if element == STRING:
            return [self._string() for _ in range(count)]
        dtype = np.dtype(NUMPY_SCALARS[element])
        self.at += count * dtype.itemsize
        return np.frombuffer(self.bytes, dtype, count, self.at - count * dtype.itemsize)

    def _tensor_info(self):
        name = self._string()
        dims = [self._scalar(10) for _ in range(self._scalar(4))]
        type_id = self._scalar(4)
        return name, tuple(reversed(dims)), type_id, self._scalar(10)


class Writer:
    """Collects entries and tensors; `bytes()` lays out a version 3 file."""

    def __init__(self):
        self.entries = []
        self.tensors = []

    def add(self, key, type_id, value):
        self.entries.append(_string(key) + struct.pack("<I", type_id) + _value(type_id, value))

    def add_array(self, key, element, values):
        head = _string(key) + struct.pack("<IIQ", ARRAY, element, len(values))
        self.entries.append(head + b"".join(_value(element, value) for value in values))

    def add_tensor(self, name, values, type_id):
        self.add_encoded(name, values.shape, type_id, quantize(values, type_id))

    def add_encoded(self, name, shape, type_id, content):
        self.tensors.append((name, shape, type_id, content))

    def bytes(self):
        infos, data = b"", b""
        for name, shape, type_id, content in self.tensors:
            dims = b"".join(struct.pack("<Q", n) for n in reversed(shape))
            infos += _string(name) + struct.pack("<I", len(shape)) + dims + struct.pack("<IQ", type_id, len(data))
            data += _padded(content)
        header = MAGIC + struct.pack("<IQQ", 3, len(self.tensors), len(self.entries))
        return _padded(header + b"".join(self.entries) + infos) + data


def _string(text):
    encoded = text.encode("utf-8")
    return struct.pack("<Q", len(encoded)) + encoded


def _value(type_id, value):
    return _string(value) if type_id == STRING else struct.pack(SCALARS[type_id], value)


def _padded(content):
    return content + b"\0" * (-len(content) % ALIGNMENT)
