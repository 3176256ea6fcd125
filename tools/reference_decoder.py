"""The forward pass of every family in numpy: what the engines are compared with, written independently of them.

A model is a Description, filled from a config.json by reference_configs.describe, and a dictionary of weights by canonical names, in the
layout of Hugging Face checkpoints (rope turns element i with element i + dims / 2). [rows, cols] means [outputs, inputs].

  embed, head (absent when tied), norm, norm_bias
  N.attn_norm, N.attn_norm_bias, N.q, N.k, N.v, N.q_bias, N.k_bias, N.v_bias, N.q_norm, N.k_norm, N.o, N.o_bias, N.attn_post_norm
  N.mlp_norm, N.mlp_norm_bias, N.gate, N.up, N.up_bias, N.down, N.down_bias, N.mlp_post_norm
  N.router, N.expert_gate, N.expert_up, N.expert_down [experts, rows, cols]
"""

import dataclasses

import numpy as np

QUERY_TILE = 256  # rows of the attention matrix that exist at a time


@dataclasses.dataclass
class Layer:
    heads: int
    kv_heads: int
    head_dim: int
    scale: float  # of scores
    rope: str = "global"  # key of Description.ropes; "" = no rotation
    window: int = 0  # positions that a token sees, its own included; 0 = all
    softcap: float = 0.0
    qk_norm: str = ""  # "head", "width" or none
    ffn: int = 0
    gated: bool = True
    experts: int = 0
    experts_used: int = 0
    expert_ffn: int = 0
    renormalise: bool = False


@dataclasses.dataclass
class Description:
    family: str
    hidden: int
    vocab: int
    epsilon: float
    layers: list
    ropes: dict  # name -> (frequencies, magnitude)
    tied: bool = False
    layer_norm: bool = False  # mean subtracted, bias added; else RMS
    pre_norms: bool = True
    post_norms: bool = False
    activation: str = "silu"
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    logit_scale: float = 1.0
    logit_softcap: float = 0.0
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False


def capped(x, cap):
    return cap * np.tanh(x / cap) if cap else x


def activate(x, kind):
    if kind == "silu":
        return x / (1 + np.exp(-x))
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


class Decoder:
    def __init__(self, description, weights):
        self.model = description
        self.weights = weights

    def logits(self, tokens):
        model = self.model
        rows = self.hidden(tokens) @ self.weights["embed" if model.tied else "head"].T
        return capped(rows * model.logit_scale, model.logit_softcap)

    def hidden(self, tokens):
        model = self.model
        x = self.weights["embed"][np.asarray(tokens)] * model.embedding_scale
        for index, layer in enumerate(model.layers):
            self.at = f"{index}."
            x = x + model.residual_scale * self._post(self._attention(layer, self._pre(x, "attn_norm")), "attn_post_norm")
            mlp = self._experts if layer.experts else self._mlp
            x = x + model.residual_scale * self._post(mlp(layer, self._pre(x, "mlp_norm")), "mlp_post_norm")
        self.at = ""
        return self._norm(x, "norm")

    def _weight(self, name):
        return self.weights[self.at + name]

    def _bias(self, name):
        return self.weights.get(self.at + name, 0.0)

    def _pre(self, x, name):
        return self._norm(x, name) if self.model.pre_norms else x

    def _post(self, x, name):
        return self._rms(x, name) if self.model.post_norms else x

    def _norm(self, x, name):
        if not self.model.layer_norm:
            return self._rms(x, name)
        x = x - x.mean(axis=-1, keepdims=True)
        return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + self.model.epsilon) * self._weight(name) + self._bias(name + "_bias")

    def _rms(self, x, name):
        return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + self.model.epsilon) * self._weight(name)

    def _rotated(self, layer, x):
        """x: [positions, heads, head size]"""
        if not layer.rope:
            return x
        frequencies, magnitude = self.model.ropes[layer.rope]
        half = len(frequencies)
        angle = (np.arange(len(x), dtype=np.float64)[:, None] * frequencies)[:, None, :]
        cos, sin = np.cos(angle) * magnitude, np.sin(angle) * magnitude
        first, second = x[..., :half], x[..., half : 2 * half]
        return np.concatenate([first * cos - second * sin, first * sin + second * cos, x[..., 2 * half :]], axis=-1)

    def _projected(self, layer, x, name, heads):
        y = x @ self._weight(name).T + self._bias(name + "_bias")
        if layer.qk_norm == "width" and name != "v":
            y = self._rms(y, name + "_norm")
        y = y.reshape(len(x), heads, layer.head_dim)
        if layer.qk_norm == "head" and name != "v":
            y = self._rms(y, name + "_norm")
        return y

    def _attention(self, layer, x):
        q = self._rotated(layer, self._projected(layer, x, "q", layer.heads))
        k = self._rotated(layer, self._projected(layer, x, "k", layer.kv_heads))
        v = self._projected(layer, x, "v", layer.kv_heads)
        out = np.empty_like(q)
        group = layer.heads // layer.kv_heads
        for head in range(layer.heads):
            for begin in range(0, len(x), QUERY_TILE):
                end = min(begin + QUERY_TILE, len(x))
                scores = capped(q[begin:end, head] @ k[:end, head // group].T * layer.scale, layer.softcap)
                back = np.arange(begin, end)[:, None] - np.arange(end)[None, :]
                scores[(back < 0) | ((back >= layer.window) if layer.window else False)] = -np.inf
                out[begin:end, head] = softmax(scores) @ v[:end, head // group]
        return out.reshape(len(x), -1) @ self._weight("o").T + self._bias("o_bias")

    def _mlp(self, layer, x):
        up = x @ self._weight("up").T + self._bias("up_bias")
        kind = self.model.activation
        inner = activate(x @ self._weight("gate").T, kind) * up if layer.gated else activate(up, kind)
        return inner @ self._weight("down").T + self._bias("down_bias")

    def _experts(self, layer, x):
        shares = softmax(x @ self._weight("router").T)
        out = np.zeros_like(x)
        for row in range(len(x)):
            chosen = np.argsort(-shares[row], kind="stable")[: layer.experts_used]
            share = shares[row, chosen]
            if layer.renormalise:
                share = share / share.sum()
            for expert, weight in zip(chosen, share):
                gate = self._weight("expert_gate")[expert] @ x[row]
                up = self._weight("expert_up")[expert] @ x[row]
                out[row] += weight * (self._weight("expert_down")[expert] @ (activate(gate, self.model.activation) * up))
        return out
