"""Quantisers over whole blocks of rows in numpy, made for speed: GGUF's block formats and MLX's affine groups.

Layouts are those of src/base/dtype.h. Scales are found by plain extremes (no search), so a file made here is as large and as fast as one
from elsewhere, and every value comes back within one step of its block; whoever needs the best quality per bit quantises
elsewhere. Every function takes float32 [rows, cols] and gives bytes as uint8 [rows, bytes of a row].
"""

import collections

import numpy as np

# block: columns that must divide a row; bytes: of one block; gguf_id: ggml_type.
Format = collections.namedtuple("Format", "name gguf_id file_type block bytes encode decode")
# One group of MLX: the codes, and a scale and a bias in f16.
Affine = collections.namedtuple("Affine", "name bits group")

MLX_FORMATS = {"mlx-4bit": Affine("mlx-4bit", 4, 64), "mlx-8bit": Affine("mlx-8bit", 8, 64)}


def _inverse(x):
    return np.divide(np.float32(1), x, out=np.zeros_like(x), where=x != 0)


def _halves(x):
    """As f16 bytes, and the value that a reader will find there."""
    stored = x.astype("<f2")
    return stored, stored.astype(np.float32)


def _codes(blocks, scale, low, top):
    """clip(round((x - low) / scale), 0, top) as bytes, block by block (the last axis)."""
    x = blocks - low[..., None]
    x *= _inverse(scale)[..., None]
    np.rint(x, out=x)
    np.clip(x, 0, top, out=x)
    return x.astype(np.uint8)


def _signed_extreme(blocks):
    """The element with the largest magnitude, sign kept."""
    high, low = blocks.max(axis=-1), blocks.min(axis=-1)
    return np.where(-low > high, low, high)


def _nibbles(q):
    """[..., 32] -> [..., 16]: element i low, element 16 + i high."""
    return q[..., :16] & 15 | (q[..., 16:] & 15) << 4


def _fifth_bits(q):
    """Bit 4 of 32 elements as 4 bytes, element 0 lowest."""
    return np.packbits(q >> 4, axis=-1, bitorder="little")


def _joined(rows, *parts):
    """Fields of blocks [n, size] one behind the other, as bytes of rows."""
    return np.concatenate([part.view(np.uint8).reshape(len(part), -1) for part in parts], axis=1).reshape(rows, -1)


def _encode_f16(x):
    return x.astype("<f2").view(np.uint8)


def _encode_symmetric(x, bits):
    """Q4_0 and Q5_0: the extreme becomes the most negative code."""
    half = 1 << (bits - 1)
    blocks = x.reshape(-1, 32)
    stored, d = _halves(_signed_extreme(blocks) / np.float32(-half))
    q = _codes(blocks, d, -half * d, 2 * half - 1)
    return _joined(len(x), stored[:, None], *([_fifth_bits(q)] if bits == 5 else []), _nibbles(q))


def _encode_minimum(x, bits):
    """Q4_1 and Q5_1."""
    top = (1 << bits) - 1
    blocks = x.reshape(-1, 32)
    low = blocks.min(axis=1)
    stored_m, m = _halves(low)
    stored_d, d = _halves((blocks.max(axis=1) - low) / np.float32(top))
    q = _codes(blocks, d, m, top)
    return _joined(len(x), stored_d[:, None], stored_m[:, None], *([_fifth_bits(q)] if bits == 5 else []), _nibbles(q))


def _encode_q8_0(x):
    blocks = x.reshape(-1, 32)
    stored, d = _halves(np.abs(blocks).max(axis=1) / np.float32(127))
    q = blocks * _inverse(d)[:, None]
    return _joined(len(x), stored[:, None], np.clip(np.rint(q, out=q), -127, 127).astype(np.int8))


def _pack_k_scales(scale, low):
    """Two times eight 6-bit numbers in 12 bytes (BlockQ4_K::scales)."""
    out = np.empty((len(scale), 12), np.uint8)
    out[:, 0:4] = scale[:, :4] | (scale[:, 4:] >> 4) << 6
    out[:, 4:8] = low[:, :4] | (low[:, 4:] >> 4) << 6
    out[:, 8:12] = scale[:, 4:] & 15 | (low[:, 4:] & 15) << 4
    return out


def _encode_k(x, bits):
    """Q4_K and Q5_K. Codes of scales and minima are rounded up, so that every group's range is covered."""
    top = (1 << bits) - 1
    groups = x.reshape(-1, 8, 32)
    low = np.minimum(groups.min(axis=2), 0)
    scale = (np.maximum(groups.max(axis=2), 0) - low) / np.float32(top)
    stored_d, d = _halves(scale.max(axis=1) / np.float32(63))
    stored_m, dmin = _halves(-low.min(axis=1) / np.float32(63))
    sc = np.minimum(np.ceil(scale * _inverse(d)[:, None]), 63)
    m = np.minimum(np.ceil(-low * _inverse(dmin)[:, None]), 63)
    q = _codes(groups, sc * d[:, None], -m * dmin[:, None], top)
    packed = _pack_k_scales(sc.astype(np.uint8), m.astype(np.uint8))
    nibbles = q[:, 0::2] & 15 | (q[:, 1::2] & 15) << 4
    if bits == 4:
        return _joined(len(x), stored_d[:, None], stored_m[:, None], packed, nibbles)
    high = np.packbits(q.transpose(0, 2, 1) >> 4, axis=2, bitorder="little")  # bit j of byte i: element i of group j
    return _joined(len(x), stored_d[:, None], stored_m[:, None], packed, high, nibbles)


def _encode_q6_k(x):
    groups = x.reshape(-1, 16, 16)
    scale = _signed_extreme(groups) / np.float32(-32)
    stored, d = _halves(_signed_extreme(scale) / np.float32(-128))
    sc = scale * _inverse(d)[:, None]
    sc = np.clip(np.copysign(np.ceil(np.abs(sc)), sc), -128, 127)  # away from 0: the extreme stays within the codes
    step = sc * d[:, None]
    q = _codes(groups, step, -32 * step, 63).reshape(-1, 2, 4, 32)  # [block, half, k, l]
    low = q[:, :, :2] & 15 | (q[:, :, 2:] & 15) << 4
    high = q >> 4
    qh = high[:, :, 0] | high[:, :, 1] << 2 | high[:, :, 2] << 4 | high[:, :, 3] << 6
    return _joined(len(x), low, qh, sc.astype(np.int8), stored[:, None])


def _fields(data, *sizes):
    """Blocks as uint8 [n, sum of sizes] cut into fields."""
    return np.split(data, np.cumsum(sizes)[:-1], axis=1)


def _read_halves(data):
    return np.ascontiguousarray(data).view("<f2").astype(np.float32)


def _read_nibbles(qs, qh):
    q = np.concatenate([qs & 15, qs >> 4], axis=1)
    return q if qh is None else q | np.unpackbits(qh, axis=1, bitorder="little") << 4


def _decode_f16(blocks):
    return _read_halves(blocks)


def _decode_simple(blocks, bits, minimum):
    parts = _fields(blocks, 2, *([2] if minimum else []), *([4] if bits == 5 else []), 16)
    d = _read_halves(parts[0])
    q = _read_nibbles(parts[-1], parts[-2] if bits == 5 else None).astype(np.float32)
    return d * q + _read_halves(parts[1]) if minimum else d * (q - (1 << (bits - 1)))


def _decode_q8_0(blocks):
    d, q = _fields(blocks, 2, 32)
    return _read_halves(d) * q.view(np.int8)


def _decode_k(blocks, bits):
    parts = _fields(blocks, 2, 2, 12, *([32] if bits == 5 else []), 128)
    packed = parts[2]
    sc = np.concatenate([packed[:, 0:4] & 63, packed[:, 8:12] & 15 | (packed[:, 0:4] >> 6) << 4], axis=1)
    m = np.concatenate([packed[:, 4:8] & 63, packed[:, 8:12] >> 4 | (packed[:, 4:8] >> 6) << 4], axis=1)
    nibbles = parts[-1].reshape(-1, 4, 1, 32)
    q = np.concatenate([nibbles & 15, nibbles >> 4], axis=2).reshape(-1, 8, 32)
    if bits == 5:
        q |= np.unpackbits(parts[3][:, :, None], axis=2, bitorder="little").transpose(0, 2, 1) << 4
    return ((_read_halves(parts[0]) * sc)[..., None] * q - (_read_halves(parts[1]) * m)[..., None]).reshape(len(blocks), -1)


def _decode_q6_k(blocks):
    ql, qh, sc, d = _fields(blocks, 128, 64, 16, 2)
    ql, qh = ql.reshape(-1, 2, 2, 32), qh.reshape(-1, 2, 1, 32)
    low = np.concatenate([ql & 15, ql >> 4], axis=2)
    high = qh >> np.array([0, 2, 4, 6], np.uint8)[None, None, :, None] & 3
    q = (low | high << 4).reshape(-1, 16, 16).astype(np.float32) - 32
    return ((_read_halves(d) * sc.view(np.int8))[..., None] * q).reshape(len(blocks), -1)


def _simple(name, gguf_id, file_type, bits, minimum):
    size = 18 + 2 * minimum + 4 * (bits == 5)
    encode = _encode_minimum if minimum else _encode_symmetric
    return Format(name, gguf_id, file_type, 32, size, lambda x: encode(x, bits), lambda b: _decode_simple(b, bits, minimum))


# file_type: the value of general.file_type for a file that is mostly this.
GGUF_FORMATS = {
    format_.name: format_
    for format_ in (
        Format("f16", 1, 1, 1, 2, _encode_f16, _decode_f16),
        _simple("q4_0", 2, 2, 4, False),
        _simple("q4_1", 3, 3, 4, True),
        _simple("q5_0", 6, 8, 5, False),
        _simple("q5_1", 7, 9, 5, True),
        Format("q8_0", 8, 7, 32, 34, _encode_q8_0, _decode_q8_0),
        Format("q4_k", 12, 14, 256, 144, lambda x: _encode_k(x, 4), lambda b: _decode_k(b, 4)),
        Format("q5_k", 13, 16, 256, 176, lambda x: _encode_k(x, 5), lambda b: _decode_k(b, 5)),
        Format("q6_k", 14, 18, 256, 210, _encode_q6_k, _decode_q6_k),
    )
}


def encode_affine(x, affine):
    """MLX's rule: the larger extreme of a group is hit exactly. -> codes, scales and biases as bytes of rows."""
    top = np.float32((1 << affine.bits) - 1)
    groups = x.reshape(-1, affine.group)
    high, low = groups.max(axis=1), groups.min(axis=1)
    scale = np.maximum((high - low) / top, np.float32(1e-7))
    from_low = np.abs(low) > np.abs(high)
    scale = np.where(from_low, scale, -scale)
    edge = np.where(from_low, low, high)
    steps = np.rint(edge / scale)
    scale = np.where(steps != 0, edge / np.where(steps != 0, steps, 1), scale)
    bias = np.where(steps != 0, edge, np.float32(0))
    q = _codes(groups, scale, bias, top)
    if affine.bits == 4:
        pairs = q.reshape(-1).view("<u2")
        q = (pairs | pairs >> 4).astype(np.uint8)
    rows = len(x)
    return q.reshape(rows, -1), *(part.astype("<f2").view(np.uint8).reshape(rows, -1) for part in (scale, bias))


def decode_affine(codes, scales, biases, affine):
    """codes uint8 [rows, bytes], scales and biases float [rows, groups] -> float32 [rows, cols]"""
    q = codes if affine.bits == 8 else np.stack([codes & 15, codes >> 4], axis=-1).reshape(len(codes), -1)
    groups = q.reshape(len(codes), -1, affine.group).astype(np.float32)
    return (groups * scales[..., None].astype(np.float32) + biases[..., None].astype(np.float32)).reshape(len(codes), -1)
