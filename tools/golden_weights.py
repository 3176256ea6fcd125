"""Random weights of a Description by canonical name (reference_decoder.py), and where each of them lies in a file.

A Place is one tensor of a file: the canonical weights whose rows it stacks, and what is done to them. Packing weights by their places and
reading them back gives exactly the values that the file holds.
"""

import collections

import numpy as np

# name: in the file. parts: canonical names, stacked by rows. heads: of each part whose rows are reordered for rope on adjacent pairs, or
# 0. offset: what the file leaves out of every element. expert: -1, or which one of the parts' matrices.
Place = collections.namedtuple("Place", "name parts heads offset expert", defaults=(0, 0.0, -1))

HF = {
    "attn_norm": "input_layernorm.weight", "attn_norm_bias": "input_layernorm.bias",
    "q": "self_attn.q_proj.weight", "k": "self_attn.k_proj.weight", "v": "self_attn.v_proj.weight",
    "q_bias": "self_attn.q_proj.bias", "k_bias": "self_attn.k_proj.bias", "v_bias": "self_attn.v_proj.bias",
    "q_norm": "self_attn.q_norm.weight", "k_norm": "self_attn.k_norm.weight",
    "o": "self_attn.o_proj.weight", "o_bias": "self_attn.o_proj.bias",
    "mlp_norm": "post_attention_layernorm.weight", "mlp_norm_bias": "post_attention_layernorm.bias",
    "gate": "mlp.gate_proj.weight", "up": "mlp.up_proj.weight", "down": "mlp.down_proj.weight", "router": "mlp.gate.weight",
}  # fmt: skip
HF_POST = {"attn_post_norm": "post_attention_layernorm.weight", "mlp_post_norm": "post_feedforward_layernorm.weight"}
HF_GEMMA = HF_POST | {"mlp_norm": "pre_feedforward_layernorm.weight"}
HF_STARCODER2 = {"up": "mlp.c_fc.weight", "up_bias": "mlp.c_fc.bias", "down": "mlp.c_proj.weight", "down_bias": "mlp.c_proj.bias"}
HF_TOP = {"embed": "model.embed_tokens.weight", "head": "lm_head.weight", "norm": "model.norm.weight", "norm_bias": "model.norm.bias"}

GGUF = {
    "attn_norm": "attn_norm.weight", "attn_norm_bias": "attn_norm.bias",
    "q": "attn_q.weight", "k": "attn_k.weight", "v": "attn_v.weight",
    "q_bias": "attn_q.bias", "k_bias": "attn_k.bias", "v_bias": "attn_v.bias",
    "q_norm": "attn_q_norm.weight", "k_norm": "attn_k_norm.weight",
    "o": "attn_output.weight", "o_bias": "attn_output.bias", "attn_post_norm": "post_attention_norm.weight",
    "mlp_norm": "ffn_norm.weight", "mlp_norm_bias": "ffn_norm.bias", "mlp_post_norm": "post_ffw_norm.weight",
    "gate": "ffn_gate.weight", "up": "ffn_up.weight", "up_bias": "ffn_up.bias",
    "down": "ffn_down.weight", "down_bias": "ffn_down.bias", "router": "ffn_gate_inp.weight",
    "expert_gate": "ffn_gate_exps.weight", "expert_up": "ffn_up_exps.weight", "expert_down": "ffn_down_exps.weight",
}  # fmt: skip
GGUF_TOP = {"embed": "token_embd.weight", "head": "output.weight", "norm": "output_norm.weight", "norm_bias": "output_norm.bias"}
ADJACENT_PAIRS = ("llama", "mistral", "smollm3", "granite")  # families whose GGUF files have reordered rows


def layer_shapes(model, layer):
    """Canonical name -> (shape, gain) of one layer, in order; the gain of a norm is None."""
    q, kv, hidden = layer.heads * layer.head_dim, layer.kv_heads * layer.head_dim, model.hidden
    shapes = {}

    def norm(name, width=hidden):
        shapes[name] = ((width,), None)
        if model.layer_norm:
            shapes[name + "_bias"] = ((width,), 0.2)

    if model.pre_norms:
        norm("attn_norm")
    # Gains that make attention choose, equally sharply whatever the rope's magnitude.
    gain = 1.5 / (model.ropes[layer.rope][1] if layer.rope else 1.0)
    shapes |= {"q": ((q, hidden), gain), "k": ((kv, hidden), gain), "v": ((kv, hidden), 1.0)}
    if model.qkv_bias:
        shapes |= {"q_bias": ((q,), 0.5), "k_bias": ((kv,), 0.5), "v_bias": ((kv,), 0.2)}
    if layer.qk_norm:
        norm("q_norm", layer.head_dim if layer.qk_norm == "head" else q)
        norm("k_norm", layer.head_dim if layer.qk_norm == "head" else kv)
    shapes["o"] = ((hidden, q), 1.0)
    if model.out_bias:
        shapes["o_bias"] = ((hidden,), 0.2)
    if model.post_norms:
        norm("attn_post_norm")
    if model.pre_norms:
        norm("mlp_norm")
    return shapes | mlp_shapes(model, layer)


def mlp_shapes(model, layer):
    hidden, shapes = model.hidden, {}
    if layer.experts:
        inner = layer.expert_ffn
        shapes["router"] = ((layer.experts, hidden), 3.0)
        shapes["expert_gate"] = shapes["expert_up"] = ((layer.experts, inner, hidden), 1.0)
        shapes["expert_down"] = ((layer.experts, hidden, inner), 1.0)
    else:
        if layer.gated:
            shapes["gate"] = ((layer.ffn, hidden), 1.0)
        shapes |= {"up": ((layer.ffn, hidden), 1.0), "down": ((hidden, layer.ffn), 1.0)}
        if model.mlp_bias:
            shapes |= {"up_bias": ((layer.ffn,), 0.2), "down_bias": ((hidden,), 0.2)}
    if model.post_norms:
        shapes["mlp_post_norm"] = ((hidden,), None)
    return shapes


def all_shapes(model):
    shapes = {"embed": ((model.vocab, model.hidden), 2.0), "norm": ((model.hidden,), None)}
    if model.layer_norm:
        shapes["norm_bias"] = ((model.hidden,), 0.2)
    if not model.tied:
        shapes["head"] = ((model.vocab, model.hidden), 2.0)
    for index, layer in enumerate(model.layers):
        shapes |= {f"{index}.{name}": shape for name, shape in layer_shapes(model, layer).items()}
    return shapes


def random_weights(model, seed):
    random = np.random.RandomState(seed)  # its stream is frozen, unlike default_rng's
    weights = {}
    for name, (shape, gain) in all_shapes(model).items():
        values = random.standard_normal(shape)
        if gain is None:
            values = 1 + 0.2 * values
        elif len(shape) == 1:
            values = gain * values
        else:
            values = values * gain / np.sqrt(shape[-1])
            values[random.random_sample(shape) < 0.002] *= 8  # outliers, as real weights have them
        weights[name] = values.astype(np.float32)
    return weights


def places(model, form):
    """Every tensor of a file of `form` ("gguf", "hf", "mlx"), in order."""
    found = []
    for name in all_shapes(model):
        index, _, part = name.rpartition(".")
        if not index:
            top = GGUF_TOP if form == "gguf" else HF_TOP
            found.append(Place(top[name], (name,), offset=offset_of(model, name, form)))
        elif part.startswith("expert_") and form != "gguf":
            found += expert_places(model, int(index), part, form)
        else:
            found += layer_place(model, int(index), part, form)
    return found


def offset_of(model, part, form):
    return 1.0 if form != "gguf" and model.family.startswith("gemma") and part.endswith("norm") else 0.0


def expert_places(model, index, part, form):
    module = part.removeprefix("expert_") + "_proj.weight"
    if form == "mlx":
        return [Place(f"model.layers.{index}.mlp.switch_mlp.{module}", (f"{index}.{part}",))]
    experts = range(model.layers[index].experts)
    return [Place(f"model.layers.{index}.mlp.experts.{e}.{module}", (f"{index}.{part}",), expert=e) for e in experts]


def layer_place(model, index, part, form):
    prefix = f"blk.{index}." if form == "gguf" else f"model.layers.{index}."
    if model.family == "phi3":
        fused = {"q": (("q", "k", "v"), "attn_qkv.weight", "self_attn.qkv_proj.weight"),
                 "gate": (("gate", "up"), "ffn_up.weight", "mlp.gate_up_proj.weight")}  # fmt: skip
        if part in ("k", "v", "up"):
            return []
        if part in fused:
            parts, gguf_name, hf_name = fused[part]
            return [Place(prefix + (gguf_name if form == "gguf" else hf_name), tuple(f"{index}.{each}" for each in parts))]
    heads = 0
    if form == "gguf" and model.family in ADJACENT_PAIRS and part.split("_")[0] in ("q", "k"):
        heads = model.layers[index].heads if part[0] == "q" else model.layers[index].kv_heads
    return [Place(prefix + local_name(model, part, form), (f"{index}.{part}",), heads, offset_of(model, part, form))]


def local_name(model, part, form):
    if form == "gguf":
        return GGUF[part]
    own = {"gemma2": HF_GEMMA, "gemma3_text": HF_GEMMA, "olmo2": HF_POST, "starcoder2": HF_STARCODER2}.get(model.family, {})
    return own.get(part) or HF[part]


def to_adjacent_pairs(rows, heads):
    """Rows (i, i + half) of each head become neighbours (2 i, 2 i + 1)."""
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def to_halves(rows, heads):
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def stored_values(place, weights):
    """What the file's tensor is to hold."""
    parts = [weights[name] for name in place.parts]
    if place.expert >= 0:
        return parts[0][place.expert]
    if place.heads:
        parts = [to_adjacent_pairs(part, place.heads) for part in parts]
    values = np.concatenate(parts) if len(parts) > 1 else parts[0]
    return values - np.asarray(place.offset, values.dtype)


def take_back(place, values, shapes, weights):
    """Puts what the file's tensor holds, exactly, among the canonical weights."""
    if place.expert >= 0:
        name = place.parts[0]
        weights.setdefault(name, np.empty(shapes[name][0]))[place.expert] = values
        return
    begin = 0
    for name in place.parts:
        rows = values[begin : begin + shapes[name][0][0]] + place.offset
        begin += len(rows)
        weights[name] = to_halves(rows, place.heads) if place.heads else rows
