"""Writes the models of golden_models as files, and reads out exactly what they hold."""

import json
import math
import struct

import golden_formats as formats
import golden_weights
import gguf_numpy as gguf
import numpy as np
from reference_configs import describe, rope

ARCHITECTURES = {"mistral": "llama", "qwen3_moe": "qwen3moe", "gemma3_text": "gemma3"}
CLASSES = {"llama": "Llama", "mistral": "Mistral", "smollm3": "SmolLM3", "qwen2": "Qwen2", "qwen3": "Qwen3", "qwen3_moe": "Qwen3Moe",
           "gemma2": "Gemma2", "gemma3_text": "Gemma3", "phi3": "Phi3", "granite": "Granite", "olmo2": "Olmo2",
           "starcoder2": "Starcoder2", "stablelm": "StableLm"}  # fmt: skip

# config.json -> GGUF, of what is not the same idea under one name everywhere.
WHOLE = {
    "num_hidden_layers": "block_count", "max_position_embeddings": "context_length", "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length", "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv", "vocab_size": "vocab_size", "sliding_window": "attention.sliding_window",
    "sliding_window_pattern": "attention.sliding_window_pattern", "num_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count", "moe_intermediate_size": "expert_feed_forward_length",
    "original_max_position_embeddings": "rope.scaling.original_context_length",
}  # fmt: skip
REAL = {
    "rms_norm_eps": "attention.layer_norm_rms_epsilon", "norm_epsilon": "attention.layer_norm_epsilon",
    "layer_norm_eps": "attention.layer_norm_epsilon", "rope_theta": "rope.freq_base",
    "attn_logit_softcapping": "attn_logit_softcapping", "final_logit_softcapping": "final_logit_softcapping",
    "embedding_multiplier": "embedding_scale", "attention_multiplier": "attention.scale", "residual_multiplier": "residual_scale",
    "logits_scaling": "logit_scale",
}  # fmt: skip


def random_exact(model):
    """(description, [(place, what is stored)], canonical weights with exactly the stored values)"""
    description = describe(model.config)
    drawn, shapes = golden_weights.random_weights(description, model.seed), golden_weights.all_shapes(description)
    exact, tensors = {}, []
    for place in golden_weights.places(description, model.form):
        values = golden_weights.stored_values(place, drawn)
        stored, held = encode(model, place, values)
        tensors.append((place, values.shape, stored))
        golden_weights.take_back(place, held, shapes, exact)
    return description, tensors, exact


def is_embedding(place):
    return place.parts[0] in ("embed", "head")


def encode(model, place, values):
    """(what encode_gguf, encode_float or encode_affine give without the values, exact values)"""
    matrix = model.embedding if is_embedding(place) else model.matrix
    if values.ndim == 1:
        matrix = model.floats
    if model.form == "gguf":
        type_name = "F32" if place.parts[0].endswith("router") else matrix
        data, held = formats.encode_gguf(values, type_name)
        return (type_name, data), held
    if model.form == "hf" or values.ndim == 1:
        stored, held = formats.encode_float(values, matrix)
        return (matrix, stored), held
    bits, group = (model.overrides or {}).get(place.name.removesuffix(".weight"), matrix)
    words, scales, biases, held = formats.encode_affine(values, bits, group, model.floats)
    return (words, scales, biases), held


def gguf_metadata(file, model):
    config = model.config
    arch = ARCHITECTURES.get(config["model_type"], config["model_type"])
    file.add("general.architecture", gguf.STRING, arch)
    file.add("general.name", gguf.STRING, model.name)
    for ours, theirs in WHOLE.items():
        if config.get(ours) is not None:
            file.add(f"{arch}.{theirs}", gguf.UINT32, config[ours])
    for ours, theirs in REAL.items():
        if config.get(ours) is not None:
            file.add(f"{arch}.{theirs}", gguf.FLOAT32, config[ours])
    head_dim = config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
    file.add(f"{arch}.attention.key_length", gguf.UINT32, head_dim)
    file.add(f"{arch}.attention.value_length", gguf.UINT32, head_dim)
    file.add(f"{arch}.rope.dimension_count", gguf.UINT32, int(head_dim * config.get("partial_rotary_factor", 1.0)))
    gguf_rope(file, arch, config, head_dim)


def gguf_rope(file, arch, config, head_dim):
    scaling = config.get("rope_scaling") or {}
    kind = scaling.get("rope_type") or scaling.get("type")
    if kind in ("linear", "yarn"):
        file.add(f"{arch}.rope.scaling.type", gguf.STRING, kind)
        file.add(f"{arch}.rope.scaling.factor", gguf.FLOAT32, scaling["factor"])
    if kind == "yarn":
        file.add(f"{arch}.rope.scaling.original_context_length", gguf.UINT32, scaling["original_max_position_embeddings"])
    if kind == "llama3":
        plain, _ = rope(config, head_dim, config["rope_theta"], None)
        scaled, _ = rope(config, head_dim, config["rope_theta"], scaling)
        file.add_tensor("rope_freqs.weight", (plain / scaled).astype(np.float32), gguf.F32)
    if kind == "longrope":
        original = config["original_max_position_embeddings"]
        factor = math.sqrt(1 + math.log(config["max_position_embeddings"] / original) / math.log(original))
        file.add(f"{arch}.rope.scaling.attn_factor", gguf.FLOAT32, factor)
        for length in ("long", "short"):
            factors = np.array(scaling[f"{length}_factor"], np.float32)
            file.add_tensor(f"rope_factors_{length}.weight", factors, gguf.F32)


def write_gguf(model, tensors, folder, add_vocabulary):
    file = gguf.Writer()
    gguf_metadata(file, model)
    add_vocabulary(file, model.config["vocab_size"])
    for place, shape, (type_name, data) in tensors:
        file.add_encoded(place.name, shape, formats.GGUF_IDS[type_name], data)
    (folder / "model.gguf").write_bytes(file.bytes())


SAFETENSORS_TYPES = {"float32": "F32", "float16": "F16", "uint16": "BF16", "uint32": "U32", "float64": "F64"}


def safetensors_bytes(arrays):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        content = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": SAFETENSORS_TYPES[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + len(content)]}  # fmt: skip
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def file_config(model):
    config = {"architectures": [CLASSES[model.config["model_type"]] + "ForCausalLM"]} | model.config
    if "hidden_activation" not in config:
        config["hidden_act"] = "gelu_pytorch_tanh" if config["model_type"] == "starcoder2" else "silu"
    config["torch_dtype"] = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[model.floats]
    if model.form == "mlx":
        bits, group = model.matrix
        table = {"group_size": group, "bits": bits}
        for module, (own_bits, own_group) in (model.overrides or {}).items():
            table[module] = {"group_size": own_group, "bits": own_bits}
        config["quantization"] = table
    return config


def write_directory(model, tensors, folder, vocabulary):
    arrays = {}
    for place, _, stored in tensors:
        if len(stored) == 2:
            arrays[place.name] = stored[1]
            continue
        module = place.name.removesuffix(".weight")
        arrays |= dict(zip((place.name, module + ".scales", module + ".biases"), stored))
    if model.shards == 1:
        (folder / "model.safetensors").write_bytes(safetensors_bytes(arrays))
    else:
        write_shards(arrays, model.shards, folder)
    texts = {"config.json": file_config(model), "generation_config.json": {"bos_token_id": 1, "eos_token_id": 2}} | vocabulary
    for name, value in texts.items():
        (folder / name).write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_shards(arrays, count, folder):
    names = list(arrays)
    size = -(-len(names) // count)
    weight_map = {}
    for shard in range(count):
        name = f"model-{shard + 1:05}-of-{count:05}.safetensors"
        part = {each: arrays[each] for each in names[shard * size : (shard + 1) * size]}
        weight_map |= {each: name for each in part}
        (folder / name).write_bytes(safetensors_bytes(part))
    index = {"metadata": {"total_size": sum(array.nbytes for array in arrays.values())}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def checkpoint_weights(description, exact):
    """The exact values under the names of a Hugging Face checkpoint, for oracles."""
    return {place.name: golden_weights.stored_values(place, exact) for place in golden_weights.places(description, "hf")}
