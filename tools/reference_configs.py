"""From a config.json to the Description that reference_decoder computes, by the rules of transformers."""

import math

import numpy as np
from reference_decoder import Description, Layer


def plain_frequencies(dims, base):
    return base ** (-np.arange(0, dims, 2, dtype=np.float64) / dims)


def llama3(frequencies, scaling):
    factor, low, high = scaling["factor"], scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = scaling["original_max_position_embeddings"] * frequencies / (2 * math.pi)
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return frequencies * (kept + (1 - kept) / factor)


def yarn(frequencies, base, scaling):
    dims, context = 2 * len(frequencies), scaling["original_max_position_embeddings"]

    def pair_that_turns(rotations):
        return dims * math.log(context / (rotations * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(pair_that_turns(scaling.get("beta_fast", 32))), 0)
    high = min(math.ceil(pair_that_turns(scaling.get("beta_slow", 1))), dims - 1)
    stretched = np.clip((np.arange(len(frequencies)) - low) / (max(high - low, 0.001)), 0, 1)
    magnitude = scaling.get("attention_factor", 0.1 * math.log(scaling["factor"]) + 1)
    return frequencies / scaling["factor"] * stretched + frequencies * (1 - stretched), magnitude


def rope(config, head_dim, theta, scaling):
    """(frequencies, magnitude)"""
    dims = int(head_dim * config.get("partial_rotary_factor", 1.0))
    frequencies = plain_frequencies(dims, theta)
    kind = (scaling or {}).get("rope_type") or (scaling or {}).get("type", "default")
    if kind == "linear":
        return frequencies / scaling["factor"], 1.0
    if kind == "llama3":
        return llama3(frequencies, scaling), 1.0
    if kind == "yarn":
        return yarn(frequencies, theta, scaling)
    if kind == "longrope":  # the long table: prompts of the goldens are longer than the original context
        original = config["original_max_position_embeddings"]
        factor = config["max_position_embeddings"] / original
        return frequencies / np.array(scaling["long_factor"]), math.sqrt(1 + math.log(factor) / math.log(original))
    assert kind == "default", kind
    return frequencies, 1.0


def ropes_of(config, head_dim):
    theta = config.get("rope_theta", 10000.0)
    ropes = {"global": rope(config, head_dim, theta, config.get("rope_scaling"))}
    if "rope_local_base_freq" in config:
        ropes["local"] = rope(config, head_dim, config["rope_local_base_freq"], None)
    return ropes


def window_of(config, index):
    family, window = config["model_type"], config.get("sliding_window") or 0
    if family == "gemma2":
        return window if index % 2 == 0 else 0
    if family == "gemma3_text":
        return window if (index + 1) % config["sliding_window_pattern"] else 0
    if family == "qwen2":
        return window if config.get("use_sliding_window") and index >= config["max_window_layers"] else 0
    return window


def has_experts(config, index):
    if config["model_type"] != "qwen3_moe" or index in config.get("mlp_only_layers", []):
        return False
    return (index + 1) % config.get("decoder_sparse_step", 1) == 0


def rope_name(config, index):
    if config["model_type"] == "smollm3":
        rotates = config["no_rope_layers"][index] if "no_rope_layers" in config else (index + 1) % 4
        return "global" if rotates else ""
    return "local" if config["model_type"] == "gemma3_text" and window_of(config, index) else "global"


def layer_of(config, index, head_dim):
    family = config["model_type"]
    scale = config.get("attention_multiplier", config.get("query_pre_attn_scalar", head_dim) ** -0.5)
    layer = Layer(
        heads=config["num_attention_heads"],
        kv_heads=config.get("num_key_value_heads", config["num_attention_heads"]),
        head_dim=head_dim,
        scale=scale,
        rope=rope_name(config, index),
        window=window_of(config, index),
        softcap=config.get("attn_logit_softcapping") or 0.0,
        qk_norm={"qwen3": "head", "qwen3_moe": "head", "gemma3_text": "head", "olmo2": "width"}.get(family, ""),
        ffn=config["intermediate_size"],
        gated=family != "starcoder2",
    )
    if has_experts(config, index):
        layer.experts, layer.experts_used = config["num_experts"], config["num_experts_per_tok"]
        layer.expert_ffn, layer.renormalise = config["moe_intermediate_size"], config["norm_topk_prob"]
    return layer


def describe(config):
    family = config["model_type"]
    head_dim = config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
    gemma, starcoder2 = family.startswith("gemma"), family == "starcoder2"
    return Description(
        family=family,
        hidden=config["hidden_size"],
        vocab=config["vocab_size"],
        # As the float32 that engines and GGUF files hold.
        epsilon=float(np.float32(config.get("rms_norm_eps", config.get("norm_epsilon", config.get("layer_norm_eps"))))),
        layers=[layer_of(config, index, head_dim) for index in range(config["num_hidden_layers"])],
        ropes=ropes_of(config, head_dim),
        tied=config["tie_word_embeddings"],
        layer_norm=family in ("starcoder2", "stablelm"),
        pre_norms=family != "olmo2",
        post_norms=gemma or family == "olmo2",
        activation="gelu" if gemma or starcoder2 else "silu",
        embedding_scale=math.sqrt(config["hidden_size"]) if gemma else config.get("embedding_multiplier", 1.0),
        residual_scale=config.get("residual_multiplier", 1.0),
        logit_scale=1 / config.get("logits_scaling", 1.0),
        logit_softcap=config.get("final_logit_softcapping") or 0.0,
        qkv_bias=family == "qwen2" or starcoder2 or config.get("attention_bias", False) or config.get("use_qkv_bias", False),
        out_bias=starcoder2 or config.get("attention_bias", False),
        mlp_bias=starcoder2,
    )
