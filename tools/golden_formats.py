"""Numbers as checkpoints hold them: halves, MLX's affine groups, and the GGUF types beyond those of gguf_numpy (through the package
`gguf`, which only writing the goldens needs). Every encoding comes with the exact values that it holds."""

import gguf_numpy
import numpy as np


def to_bf16(values):
    """The nearest bfloat16 (ties to even) as uint16 bits."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


FLOATS = {"F32": ("<f4", 4), "F16": ("<f2", 2), "BF16": ("<u2", 2)}


def encode_float(values, dtype):
    """(array to store, exact values in float64)"""
    if dtype == "BF16":
        bits = to_bf16(values)
        return bits, from_bf16(bits)
    stored = np.asarray(values).astype(FLOATS[dtype][0])
    return stored, stored.astype(np.float64)


def pack_codes(codes, bits):
    """Codes [..., cols] as a stream of bits, the lowest first, in uint32 words [..., cols * bits / 32]."""
    stream = (codes[..., None] >> np.arange(bits)) & 1
    words = stream.reshape(*codes.shape[:-1], -1, 32).astype(np.uint64)
    return (words << np.arange(32, dtype=np.uint64)).sum(axis=-1).astype(np.uint32)


def encode_affine(values, bits, group, dtype):
    """w = scale * code + bias per group: (words, scales, biases as stored arrays, exact values). [rows, cols] or [experts, rows, cols]."""
    groups = np.asarray(values, np.float64).reshape(*values.shape[:-1], -1, group)
    low, high = groups.min(axis=-1), groups.max(axis=-1)
    scales, exact_scales = encode_float((high - low) / (2**bits - 1), dtype)
    biases, exact_biases = encode_float(low, dtype)
    step = np.where(exact_scales == 0, 1, exact_scales)[..., None]
    codes = np.clip(np.rint((groups - exact_biases[..., None]) / step), 0, 2**bits - 1).astype(np.int64)
    exact = codes * exact_scales[..., None] + exact_biases[..., None]
    return pack_codes(codes.reshape(values.shape), bits), scales, biases, exact.reshape(values.shape)


GGUF_IDS = {"F32": 0, "F16": 1, "BF16": 30, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14}


def encode_gguf(values, type_name):
    """(bytes, exact values in float64)"""
    values = np.ascontiguousarray(values, np.float32)
    if type_name == "BF16":
        bits = to_bf16(values)
        return bits.astype("<u2").tobytes(), from_bf16(bits)
    if type_name in gguf_numpy.TYPE_IDS:
        type_id = gguf_numpy.TYPE_IDS[type_name]
        data = gguf_numpy.quantize(values, type_id)
        return data, gguf_numpy.dequantize(data, values.shape, type_id, np.float64)
    if type_name in ("Q4_K", "Q5_K", "Q6_K"):
        return encode_k_quant(values, type_name)
    import gguf

    data = gguf.quants.quantize(values, gguf.GGMLQuantizationType[type_name])
    return data.tobytes(), gguf.quants.dequantize(data, gguf.GGMLQuantizationType[type_name]).astype(np.float64)


def encode_k_quant(values, type_name):
    """The package can only read these, so the blocks are made here: plain rounding to the nearest step, no search for better scales."""
    import gguf

    rows = values.reshape(-1, 256)
    blocks = six_bit_blocks(rows) if type_name == "Q6_K" else scaled_blocks(rows, 4 if type_name == "Q4_K" else 5)
    data = blocks.reshape(*values.shape[:-1], -1)
    return data.tobytes(), gguf.quants.dequantize(data, gguf.GGMLQuantizationType[type_name]).astype(np.float64)


def half_bytes(values):
    return np.ascontiguousarray(values.astype("<f2")).view(np.uint8).reshape(len(values), 2)


def scaled_blocks(rows, bits):
    """Q4_K and Q5_K: 8 groups of 32, w = d scale q - dmin min, with scales and minima of 6 bits."""
    groups = rows.reshape(-1, 8, 32)
    low = np.minimum(groups.min(axis=2), 0)
    step = (groups.max(axis=2) - low) / (2**bits - 1)
    d = (step.max(axis=1) / 63).astype("<f2").astype(np.float32)
    dmin = (-low.min(axis=1) / 63).astype("<f2").astype(np.float32)
    d, dmin = np.where(d == 0, 1, d), np.where(dmin == 0, 1, dmin)
    scale = np.clip(np.rint(step / d[:, None]), 1, 63).astype(np.uint8)
    minimum = np.clip(np.rint(-low / dmin[:, None]), 0, 63).astype(np.uint8)
    offset = (dmin[:, None] * minimum)[..., None]
    q = np.clip(np.rint((groups + offset) / (d[:, None] * scale)[..., None]), 0, 2**bits - 1).astype(np.uint8)
    low_bits, pairs = q & 15, []
    for i in range(4):
        pairs.append(low_bits[:, 2 * i] | (low_bits[:, 2 * i + 1] << 4))
    parts = [half_bytes(d), half_bytes(dmin), six_bit_pairs(scale, minimum)]
    if bits == 5:
        parts.append(sum(((q[:, j] >> 4) << j) for j in range(8)).astype(np.uint8))
    return np.concatenate([*parts, *pairs], axis=1)


def six_bit_pairs(scale, minimum):
    """8 scales and 8 minima in 12 bytes (base/dtype.h writes the rule down)."""
    out = np.zeros((len(scale), 12), np.uint8)
    out[:, 0:4] = (scale[:, :4] & 63) | ((scale[:, 4:] >> 4) << 6)
    out[:, 4:8] = (minimum[:, :4] & 63) | ((minimum[:, 4:] >> 4) << 6)
    out[:, 8:12] = (scale[:, 4:] & 15) | ((minimum[:, 4:] & 15) << 4)
    return out


def six_bit_blocks(rows):
    """Q6_K: 16 groups of 16, w = d scale (q - 32), with scales of 8 bits."""
    groups = rows.reshape(-1, 16, 16)
    step = np.abs(groups).max(axis=2) / 31
    d = (step.max(axis=1) / 127).astype("<f2").astype(np.float32)
    d = np.where(d == 0, 1, d)
    scale = np.clip(np.rint(step / d[:, None]), 1, 127).astype(np.int8)
    q = np.clip(np.rint(groups / (d[:, None] * scale)[..., None]) + 32, 0, 63).astype(np.uint8).reshape(-1, 2, 4, 32)
    low = (q[:, :, 0:2] & 15) | ((q[:, :, 2:4] & 15) << 4)
    high = sum((q[:, :, k] >> 4) << (2 * k) for k in range(4)).astype(np.uint8)
    parts = [low.reshape(-1, 128), high.reshape(-1, 64), scale.view(np.uint8), half_bytes(d)]
    return np.concatenate(parts, axis=1)
