"""Model files written in pieces: a plan says where every byte of every tensor goes, then any thread may fill any rows.

Planning first means that sizes are known (and can be checked against the disk) before a number is made, and that memory never holds
more than the rows under work.
"""

import collections
import json
import os
import struct

import block_quantize as quantize
import gguf_numpy as gguf
import model_shapes
import numpy as np

SHARD_BYTES = 5 * 10**9

# One array of a file. row_bytes counts one row of the tensor it belongs to.
Piece = collections.namedtuple("Piece", "name dtype shape row_bytes")
# Where a piece lies.
Place = collections.namedtuple("Place", "file offset row_bytes")


class Gguf:
    """One .gguf file in one block format: head and embedding included, norms and biases in f32."""

    def __init__(self, shape, name):
        self.shape, self.format = shape, quantize.GGUF_FORMATS[name.removeprefix("gguf-")]
        for tensor in model_shapes.tensors(shape):
            if tensor.kind == "matrix" and tensor.cols % self.format.block:
                found = f"{tensor.gguf} has rows of {tensor.cols} columns"
                raise ValueError(f"{shape.name} as {name}: {found}, expected a multiple of {self.format.block}")

    def exists(self, tensor):
        return True

    def pieces(self, tensor):
        if tensor.kind != "matrix":
            return [Piece(tensor.gguf, gguf.F32, (tensor.cols,), 4 * tensor.cols)]
        row_bytes = tensor.cols // self.format.block * self.format.bytes
        return [Piece(tensor.gguf, self.format.gguf_id, (tensor.cols, tensor.rows), row_bytes)]

    def encode(self, tensor, rows):
        """Bytes of whole heads' rows, one array for each piece."""
        if tensor.kind != "matrix":
            return [rows.astype("<f4").view(np.uint8)]
        if tensor.heads:  # halves of a head one after the other -> pairs side by side
            size = tensor.rows // tensor.heads
            rows = rows.reshape(-1, 2, size // 2, tensor.cols).swapaxes(1, 2).reshape(-1, tensor.cols)
        return [self.format.encode(rows)]

    def layout(self, path, tokenizer):
        """-> files {path: (header, size)}, places {tensor: [Place]}, small files {path: bytes}"""
        head = gguf.Writer()
        model_shapes.add_gguf_metadata(head, self.shape, self.format)
        if tokenizer:
            tokenizer.add_to_gguf(head, self.shape.vocab)
        infos, places, at = [], {}, 0
        for tensor in model_shapes.tensors(self.shape):
            (piece,) = self.pieces(tensor)
            name = piece.name.encode()
            dims = struct.pack(f"<{len(piece.shape)}Q", *piece.shape)
            info = struct.pack("<Q", len(name)) + name + struct.pack("<I", len(piece.shape)) + dims
            infos.append(info + struct.pack("<IQ", piece.dtype, at))
            places[tensor] = [Place(path, at, piece.row_bytes)]
            at += tensor.rows * piece.row_bytes
            at += -at % gguf.ALIGNMENT
        header = gguf.MAGIC + struct.pack("<IQQ", 3, len(infos), len(head.entries)) + b"".join(head.entries) + b"".join(infos)
        header += b"\0" * (-len(header) % gguf.ALIGNMENT)
        places = {tensor: [place._replace(offset=place.offset + len(header)) for place in found] for tensor, found in places.items()}
        return {path: (header, len(header) + at)}, places, {}


class Checkpoint:
    """A directory with config.json and safetensors: MLX's affine groups, or every tensor in bf16."""

    def __init__(self, shape, name):
        self.shape, self.affine = shape, quantize.MLX_FORMATS.get(name)
        self.float = "BF16" if self.affine is None else "F16"

    def exists(self, tensor):
        return tensor.checkpoint is not None

    def pieces(self, tensor):
        if self.affine is None or tensor.kind != "matrix":
            shape = (tensor.cols,) if tensor.kind != "matrix" else (tensor.rows, tensor.cols)
            return [Piece(tensor.checkpoint, self.float, shape, 2 * tensor.cols)]
        base, groups = tensor.checkpoint.removesuffix("weight"), tensor.cols // self.affine.group
        words = tensor.cols * self.affine.bits // 32
        return [
            Piece(base + "weight", "U32", (tensor.rows, words), 4 * words),
            *(Piece(base + part, self.float, (tensor.rows, groups), 2 * groups) for part in ("scales", "biases")),
        ]

    def encode(self, tensor, rows):
        if self.affine and tensor.kind == "matrix":
            return quantize.encode_affine(rows, self.affine)
        if self.affine:
            return [rows.astype("<f2").view(np.uint8)]
        return [(rows.view(np.uint32) >> 16).astype("<u2").view(np.uint8)]

    def shards(self):
        """Tensors in the order of a file, cut where a file would pass its limit."""
        shards, size = [[]], 0
        for tensor in filter(self.exists, model_shapes.tensors(self.shape)):
            bytes_ = sum(tensor.rows * piece.row_bytes for piece in self.pieces(tensor))
            if shards[-1] and size + bytes_ > SHARD_BYTES:
                shards.append([])
                size = 0
            shards[-1].append(tensor)
            size += bytes_
        return shards

    def layout(self, path, tokenizer):
        shards, files, places, weight_map = self.shards(), {}, {}, {}
        for number, shard in enumerate(shards, 1):
            name = "model.safetensors" if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
            entries, at = {"__metadata__": {"format": "mlx" if self.affine else "pt"}}, 0
            for tensor in shard:
                places[tensor] = []
                for piece in self.pieces(tensor):
                    end = at + tensor.rows * piece.row_bytes
                    entries[piece.name] = {"dtype": piece.dtype, "shape": list(piece.shape), "data_offsets": [at, end]}
                    places[tensor].append(Place(path / name, at, piece.row_bytes))
                    weight_map[piece.name] = name
                    at = end
            text = json.dumps(entries, separators=(",", ":")).encode()
            text += b" " * (-len(text) % 8)
            header = struct.pack("<Q", len(text)) + text
            for tensor in shard:
                places[tensor] = [place._replace(offset=place.offset + len(header)) for place in places[tensor]]
            files[path / name] = (header, len(header) + at)
        config = model_shapes.config_json(self.shape, "bfloat16" if self.affine is None else "float16", self.affine)
        small = {path / "config.json": _json(config), **(tokenizer.files(path) if tokenizer else {})}
        if len(shards) > 1:
            total = sum(size - len(header) for header, size in files.values())
            small[path / "model.safetensors.index.json"] = _json({"metadata": {"total_size": total}, "weight_map": weight_map})
        return files, places, small


def _json(value):
    return (json.dumps(value, indent=2) + "\n").encode()


def bytes_per_token(format_):
    """What one decode step reads at the first position, by the definition of src/model/active_bytes.h."""
    parts = collections.Counter(layers=0, head=0, norms=0)
    for tensor in filter(format_.exists, model_shapes.tensors(format_.shape)):
        if tensor.part in parts:
            parts[tensor.part] += sum(tensor.rows * piece.row_bytes for piece in format_.pieces(tensor))
    return {**parts, "kv": model_shapes.kv_bytes(format_.shape)}


class Files:
    """The files of a layout, open for writing anywhere."""

    def __init__(self, files):
        self.descriptors = {}
        for path, (header, size) in files.items():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            self.descriptors[path] = descriptor
            os.truncate(descriptor, size)
            _write_all(descriptor, header, 0)

    def write(self, place, row, data):
        _write_all(self.descriptors[place.file], np.ascontiguousarray(data).reshape(-1), place.offset + row * place.row_bytes)

    def close(self):
        for descriptor in self.descriptors.values():
            os.fsync(descriptor)
            os.close(descriptor)


def _write_all(descriptor, data, offset):
    data = memoryview(data)
    while len(data):
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
