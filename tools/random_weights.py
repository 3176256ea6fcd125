"""Random weights by name: the numbers of a tensor depend on the seed, its checkpoint name and the row, not on what was made before, so
every format and every order of work gets the same model. All are bf16 numbers, as the weights of the real models are, and vectors also
fit f16 exactly. (numpy may change its normal distribution between versions; within one version the numbers stand.)
"""

import hashlib

import model_shapes
import numpy as np

CHUNK_ELEMENTS = 1 << 18  # 1 MB of float32: what a core's second cache holds


def chunk_rows(tensor):
    """Rows that are made at a time: part of the definition of the numbers, the same in every format. Whole heads where rows move."""
    rows = max(1, CHUNK_ELEMENTS // tensor.cols)
    if not tensor.heads:
        return rows
    size = tensor.rows // tensor.heads
    return max(1, rows // size) * size


def chunks(tensor):
    """(first row, last row + 1) of each chunk."""
    step = chunk_rows(tensor)
    return [(begin, min(begin + step, tensor.rows)) for begin in range(0, tensor.rows, step)]


def rows(shape, seed, tensor, begin, end):
    """float32 [end - begin, cols] of one chunk; q and k rows in a checkpoint's order."""
    if tensor.kind == "rope":
        return model_shapes.rope_factors(shape)[None, :]
    key = hashlib.sha256(f"{seed}/{shape.name}/{tensor.checkpoint}/{begin}".encode()).digest()
    generator = np.random.Generator(np.random.SFC64(int.from_bytes(key[:16], "little")))
    values = generator.standard_normal((end - begin, tensor.cols), dtype=np.float32)
    if tensor.kind == "norm":
        values = 1 + np.float32(0.2) * values
        values = np.where(np.abs(values) < 0.01, np.float32(0.5), values)  # far from where f16 loses digits
    elif tensor.kind == "bias":
        values = np.where(np.abs(values) < 0.01, np.float32(0.5), values)
    else:
        values *= np.float32(1 / np.sqrt(tensor.cols))
    values.view(np.uint32)[...] &= np.uint32(0xFFFF0000)
    return values
