"""The tiny models of tests/golden beyond the four of make_golden: every family in every form, every weight format.

A model is its config.json. Between them: windows shorter than the prompts, every kind of rope, tied and untied heads, biases, experts in
all and in some layers, widths that are odd multiples of a block.
"""

import collections

# form: "gguf", "hf" or "mlx". matrix, embedding: GGUF types; of "hf" the float type; of "mlx" (bits, group). floats: the type of vectors,
# scales and biases. overrides: module -> (bits, group) of MLX.
Model = collections.namedtuple("Model", "name seed form config matrix embedding floats shards overrides", defaults=("F32", 1, None))


def config(model_type, hidden=64, heads=4, kv_heads=2, head_dim=16, ffn=96, layers=2, vocab=288, tied=True, **more):
    return {
        "model_type": model_type, "hidden_size": hidden, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "head_dim": head_dim, "intermediate_size": ffn, "num_hidden_layers": layers, "vocab_size": vocab,
        "max_position_embeddings": 1024, "tie_word_embeddings": tied, "rope_theta": 10000.0,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    } | ({} if model_type == "starcoder2" else {"rms_norm_eps": 1e-5}) | more  # fmt: skip


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}  # fmt: skip
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}


def longrope(pairs, key):
    """Older files say "type", newer ones "rope_type". The original context is shorter than any prompt, so that transformers too uses the long table throughout."""
    long = [round(1.0 + 0.75 * i, 2) for i in range(pairs)]
    return {key: "longrope", "short_factor": [1.0] * pairs, "long_factor": long}


def gemma(model_type, **more):
    return config(model_type, hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=24, **more)


def gemma2(**more):
    return gemma("gemma2", attn_logit_softcapping=5.0, final_logit_softcapping=9.0, **more)


def gemma3(**more):
    scaling = {"rope_type": "linear", "factor": 8.0}
    return gemma("gemma3_text", layers=3, rope_theta=1000000.0, rope_local_base_freq=10000.0, rope_scaling=scaling,
                 sliding_window_pattern=2, final_logit_softcapping=None, attn_logit_softcapping=None, **more)  # fmt: skip


def moe(**more):
    return config("qwen3_moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, decoder_sparse_step=1, **more)


def granite(**more):
    return config("granite", embedding_multiplier=6.0, attention_multiplier=0.125, residual_multiplier=0.5, logits_scaling=2.0, **more)


def phi3(pairs, key, **more):
    return config("phi3", original_max_position_embeddings=32, rope_scaling=longrope(pairs, key), **more)


def starcoder2(**more):
    return config("starcoder2", norm_epsilon=1e-5, use_bias=True, **more)


# llama.cpp's rule instead of query_pre_attn_scalar: the head size.
IN_GGUF = {"query_pre_attn_scalar": 16}

GGUF_MODELS = [
    Model("llama-gguf", 11, "gguf", config("llama", rope_theta=500000.0, rope_scaling=LLAMA3), "Q8_0", "Q8_0"),
    Model("mistral-gguf", 12, "gguf", config("mistral", sliding_window=24, tied=False, vocab=291), "Q4_1", "Q8_0"),
    Model("smollm3-gguf", 13, "gguf", config("smollm3", layers=4, ffn=64, kv_heads=1), "Q4_1", "Q8_0"),
    Model("qwen2-gguf", 14, "gguf", config("qwen2", rope_theta=1000000.0, rope_scaling=YARN), "Q8_0", "Q8_0"),
    Model("qwen3-gguf", 15, "gguf", config("qwen3", head_dim=32), "Q4_1", "Q8_0"),
    Model("qwen3_moe-gguf", 16, "gguf", moe(norm_topk_prob=True, tied=False), "Q8_0", "Q8_0"),
    Model("gemma2-gguf", 17, "gguf", gemma2(sliding_window=24) | IN_GGUF, "Q8_0", "Q8_0"),
    Model("gemma3-gguf", 18, "gguf", gemma3(sliding_window=40) | IN_GGUF, "Q8_0", "Q8_0"),
    Model("phi3-gguf", 19, "gguf", phi3(8, "type", sliding_window=100, tied=False), "Q4_1", "Q8_0"),
    Model("granite-gguf", 20, "gguf", granite(), "Q8_0", "Q8_0"),
    Model("olmo2-gguf", 21, "gguf", config("olmo2", kv_heads=4, tied=False), "Q8_0", "Q8_0"),
    Model("starcoder2-gguf", 22, "gguf", starcoder2(sliding_window=24), "Q8_0", "Q8_0"),
]

HF_MODELS = [
    Model("llama-hf", 31, "hf", config("llama", rope_scaling=YARN, attention_bias=True, tied=False, mlp_bias=False), "BF16", "BF16", "BF16", 3),
    Model("mistral-hf", 32, "hf", config("mistral", sliding_window=100, kv_heads=1), "F16", "F16", "F16"),
    Model("smollm3-hf", 33, "hf", config("smollm3", no_rope_layers=[0, 1], rope_theta=2000000.0), "BF16", "BF16", "BF16"),
    Model("qwen2-hf", 34, "hf", config("qwen2", use_sliding_window=True, sliding_window=32, max_window_layers=1), "BF16", "BF16", "BF16"),
    Model("qwen3-hf", 35, "hf", config("qwen3", rope_scaling=YARN, attention_bias=False), "F16", "F16", "F16"),
    Model("qwen3_moe-hf", 36, "hf", moe(norm_topk_prob=False, mlp_only_layers=[0]), "BF16", "BF16", "BF16"),
    Model("gemma2-hf", 37, "hf", gemma2(sliding_window=100), "BF16", "BF16", "BF16"),
    Model("gemma3-hf", 38, "hf", gemma3(sliding_window=24), "BF16", "BF16", "BF16"),
    Model("phi3-hf", 39, "hf", phi3(4, "rope_type", partial_rotary_factor=0.5, sliding_window=24, tied=False), "F16", "F16", "F16"),
    Model("granite-hf", 40, "hf", granite(attention_bias=False, mlp_bias=False, ffn=32), "F32", "F32", "F32"),
    Model("olmo2-hf", 41, "hf", config("olmo2", kv_heads=2), "BF16", "BF16", "F32"),
    Model("starcoder2-hf", 42, "hf", starcoder2(sliding_window=100, tied=False), "F16", "F16", "F16"),
]

MIXED = {"model.embed_tokens": (8, 64), "model.layers.0.self_attn.v_proj": (6, 32), "model.layers.1.mlp.gate": (8, 64)}
MLX_MODELS = [
    Model("llama-mlx", 51, "mlx", config("llama", ffn=128), (4, 64), (4, 64), "F16"),
    Model("mistral-mlx", 52, "mlx", config("mistral", sliding_window=None, tied=False, ffn=128), (8, 64), (8, 64), "BF16"),
    Model("smollm3-mlx", 53, "mlx", config("smollm3", layers=4, rope_theta=2000000.0), (4, 32), (4, 32), "F16"),
    Model("qwen2-mlx", 54, "mlx", config("qwen2", rope_theta=1000000.0, use_sliding_window=False), (4, 32), (4, 32), "BF16"),
    Model("qwen3-mlx", 55, "mlx", config("qwen3", ffn=128), (6, 64), (6, 64), "BF16"),
    Model("qwen3_moe-mlx", 56, "mlx", moe(norm_topk_prob=True, mlp_only_layers=[]), (4, 32), (4, 32), "F16", 1, MIXED),
    Model("gemma2-mlx", 57, "mlx", gemma2(sliding_window=24, ffn=128), (4, 64), (4, 64), "BF16"),
    Model("gemma3-mlx", 58, "mlx", gemma3(sliding_window=100), (4, 32), (4, 32), "BF16"),
    Model("phi3-mlx", 59, "mlx", phi3(8, "type", sliding_window=None, tied=False), (4, 32), (4, 32), "F16"),
    Model("granite-mlx", 60, "mlx", granite(ffn=128), (4, 64), (4, 64), "BF16"),
    Model("olmo2-mlx", 61, "mlx", config("olmo2", kv_heads=4, tied=False, ffn=128), (4, 64), (4, 64), "F16"),
    Model("starcoder2-mlx", 62, "mlx", starcoder2(sliding_window=None), (4, 32), (4, 32), "BF16"),
]

FORMAT_MODELS = [
    *(Model(f"llama-{name.lower()}", 70 + i, "gguf", config("llama"), name, name)
      for i, name in enumerate(("F16", "BF16", "Q4_0", "Q5_0", "Q5_1"))),
    *(Model(f"llama-{name.lower()}", 80 + i, "gguf",
            config("llama", hidden=256, heads=4, kv_heads=1, head_dim=64, ffn=256, layers=1, vocab=280), name, name)
      for i, name in enumerate(("Q4_K", "Q5_K", "Q6_K"))),
]  # fmt: skip

MODELS = GGUF_MODELS + HF_MODELS + MLX_MODELS + FORMAT_MODELS
