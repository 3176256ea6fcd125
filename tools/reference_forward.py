"""The forward pass of family llama in numpy over a GGUF file's dequantised weights, in float32 or float64 and without holding more of them
than it has used: for likelihoods of real models, and for the first goldens. reference_decoder.py is that of every family.

RMS norm, rope on adjacent pairs (the order of GGUF files), grouped query attention over all earlier positions, SwiGLU. All positions
of a sequence at once.
"""

import numpy as np

import gguf_numpy

QUERY_TILE = 256  # rows of the attention matrix that exist at a time


class Llama:
    def __init__(self, path, dtype=np.float32):
        self.file = gguf_numpy.Reader(path)
        self.dtype = dtype
        meta = self.file.metadata
        if meta["general.architecture"] != "llama":
            raise ValueError(f"{path}: architecture {meta['general.architecture']!r}, expected 'llama'")
        self.layers = meta["llama.block_count"]
        self.hidden = meta["llama.embedding_length"]
        self.heads = meta["llama.attention.head_count"]
        self.kv_heads = meta.get("llama.attention.head_count_kv", self.heads)
        self.head_dim = meta.get("llama.attention.key_length", self.hidden // self.heads)
        self.rope_dims = meta.get("llama.rope.dimension_count", self.head_dim)
        self.rope_base = meta.get("llama.rope.freq_base", 10000.0)
        # As the float32 that the file holds, like every other number in it.
        self.epsilon = meta["llama.attention.layer_norm_rms_epsilon"]
        self.weights = {}

    def weight(self, name):
        if name not in self.weights:
            self.weights[name] = self.file.tensor(name, self.dtype)
        return self.weights[name]

    def head(self):
        return self.weight("output.weight" if "output.weight" in self.file.tensors else "token_embd.weight")

    def forward(self, tokens):
        """Hidden rows after the final norm, [len(tokens), hidden]; logits are rows @ head().T"""
        x = self.weight("token_embd.weight")[np.asarray(tokens)]
        cos, sin = self._rope_table(len(tokens))
        for layer in range(self.layers):
            x = x + self._attention(self._norm(x, f"blk.{layer}.attn_norm.weight"), f"blk.{layer}.", cos, sin)
            x = x + self._mlp(self._norm(x, f"blk.{layer}.ffn_norm.weight"), f"blk.{layer}.")
        return self._norm(x, "output_norm.weight")

    def logits(self, tokens):
        return self.forward(tokens) @ self.head().T

    def _norm(self, x, name):
        scale = 1.0 / np.sqrt(np.mean(np.square(x, dtype=np.float64), axis=-1, keepdims=True) + self.epsilon)
        return (x * scale).astype(self.dtype) * self.weight(name)

    def _rope_table(self, length):
        frequency = self.rope_base ** (-np.arange(0, self.rope_dims, 2, dtype=np.float64) / self.rope_dims)
        angle = np.arange(length, dtype=np.float64)[:, None] * frequency
        return np.cos(angle).astype(self.dtype)[:, None, :], np.sin(angle).astype(self.dtype)[:, None, :]

    def _rope(self, x, cos, sin):
        even, odd = x[..., 0 : self.rope_dims : 2], x[..., 1 : self.rope_dims : 2]
        out = x.copy()
        out[..., 0 : self.rope_dims : 2] = even * cos - odd * sin
        out[..., 1 : self.rope_dims : 2] = even * sin + odd * cos
        return out

    def _attention(self, x, block, cos, sin):
        length = len(x)
        q = (x @ self.weight(block + "attn_q.weight").T).reshape(length, self.heads, self.head_dim)
        k = (x @ self.weight(block + "attn_k.weight").T).reshape(length, self.kv_heads, self.head_dim)
        v = (x @ self.weight(block + "attn_v.weight").T).reshape(length, self.kv_heads, self.head_dim)
        q, k = self._rope(q, cos, sin), self._rope(k, cos, sin)
        out = np.empty_like(q)
        group = self.heads // self.kv_heads
        for head in range(self.heads):
            keys, values = k[:, head // group], v[:, head // group]
            for begin in range(0, length, QUERY_TILE):
                end = min(begin + QUERY_TILE, length)
                scores = q[begin:end, head] @ keys[:end].T / np.sqrt(self.dtype(self.head_dim))
                later = np.arange(end)[None, :] > np.arange(begin, end)[:, None]
                scores[later] = -np.inf
                weights = np.exp(scores - scores.max(axis=1, keepdims=True))
                out[begin:end, head] = weights @ values[:end] / weights.sum(axis=1, keepdims=True)
        return out.reshape(length, -1) @ self.weight(block + "attn_output.weight").T

    def _mlp(self, x, block):
        gate = x @ self.weight(block + "ffn_gate.weight").T
        up = x @ self.weight(block + "ffn_up.weight").T
        return (gate / (1 + np.exp(-gate)) * up) @ self.weight(block + "ffn_down.weight").T


def negative_log_likelihood(model, tokens, window):
    """Sum over all predicted tokens, and their number. The tokens are cut into windows that do not overlap; the first token of each
    window is not predicted."""
    total, count = 0.0, 0
    for begin in range(0, len(tokens), window):
        part = tokens[begin : begin + window]
        if len(part) < 2:
            continue
        hidden = model.forward(part)
        for row in range(0, len(part) - 1, QUERY_TILE):
            targets = np.asarray(part[row + 1 : row + 1 + QUERY_TILE])
            logits = (hidden[row : row + len(targets)] @ model.head().T).astype(np.float64)
            peak = logits.max(axis=1)
            log_sum = peak + np.log(np.exp(logits - peak[:, None]).sum(axis=1))
            total += float((log_sum - logits[np.arange(len(targets)), targets]).sum())
            count += len(targets)
    return total, count
