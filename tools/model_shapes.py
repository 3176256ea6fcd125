"""Shapes of real models: their dimensions, their tensors under the names of both worlds, config.json and GGUF metadata."""

import collections
import math

import gguf_numpy as gguf
import numpy as np

Shape = collections.namedtuple(
    "Shape", "name family layers hidden heads kv_heads head_dim ffn vocab tied context rope_base rope_factor epsilon"
)


def _qwen(name, layers, hidden, heads, kv_heads, ffn, vocab, tied):
    return Shape(name, "qwen2", layers, hidden, heads, kv_heads, hidden // heads, ffn, vocab, tied, 32768, 1000000.0, 0, 1e-6)


def _llama(name, layers, hidden, heads, kv_heads, ffn, vocab, tied, context, rope_base, rope_factor):
    return Shape(name, "llama", layers, hidden, heads, kv_heads, hidden // heads, ffn, vocab, tied, context, rope_base, rope_factor, 1e-5)


# rope_factor: of the llama3 scaling; 0 = none. As the config.json of the instruction-tuned models have them.
SHAPES = {
    shape.name: shape
    for shape in (
        _qwen("qwen2.5-0.5b", 24, 896, 14, 2, 4864, 151936, True),
        _qwen("qwen2.5-1.5b", 28, 1536, 12, 2, 8960, 151936, True),
        _qwen("qwen2.5-3b", 36, 2048, 16, 2, 11008, 151936, True),
        _qwen("qwen2.5-7b", 28, 3584, 28, 4, 18944, 152064, False),
        _qwen("qwen2.5-14b", 48, 5120, 40, 8, 13824, 152064, False),
        _qwen("qwen2.5-32b", 64, 5120, 40, 8, 27648, 152064, False),
        _llama("llama-3.2-1b", 16, 2048, 32, 8, 8192, 128256, True, 131072, 500000.0, 32.0),
        _llama("llama-3.1-8b", 32, 4096, 32, 8, 14336, 128256, False, 131072, 500000.0, 8.0),
        _llama("smollm2-135m", 30, 576, 9, 3, 1536, 49152, True, 8192, 100000.0, 0),
        # For tests: every format fits them.
        _qwen("tiny-qwen2", 2, 256, 4, 2, 512, 512, True),
        _llama("tiny-llama", 2, 256, 4, 2, 512, 512, False, 131072, 500000.0, 8.0),
    )
}

# kind: "matrix", or "norm", "bias", "rope" for vectors (cols == 1 row). heads: rows are this many heads, which GGUF files of the llama
# family store with their two halves interleaved; 0 = rows are in one order everywhere. part: the line of the byte count it belongs to.
Tensor = collections.namedtuple("Tensor", "kind gguf checkpoint rows cols heads part")


def tensors(shape):
    """All tensors, in the order of a file. A name is None where that world does not have the tensor."""
    q, kv, rope_heads = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim, shape.family == "llama"
    embedding = "head" if shape.tied else "embedding"
    yield Tensor("matrix", "token_embd.weight", "model.embed_tokens.weight", shape.vocab, shape.hidden, 0, embedding)
    if shape.rope_factor:
        yield Tensor("rope", "rope_freqs.weight", None, 1, shape.head_dim // 2, 0, "config")
    for layer in range(shape.layers):
        ours, theirs = f"blk.{layer}.", f"model.layers.{layer}."
        yield Tensor("norm", ours + "attn_norm.weight", theirs + "input_layernorm.weight", 1, shape.hidden, 0, "norms")
        for letter, rows, heads in (("q", q, shape.heads), ("k", kv, shape.kv_heads), ("v", kv, 0)):
            name = theirs + f"self_attn.{letter}_proj."
            permuted = heads if rope_heads else 0
            yield Tensor("matrix", ours + f"attn_{letter}.weight", name + "weight", rows, shape.hidden, permuted, "layers")
            if shape.family == "qwen2":
                yield Tensor("bias", ours + f"attn_{letter}.bias", name + "bias", 1, rows, 0, "layers")
        yield Tensor("matrix", ours + "attn_output.weight", theirs + "self_attn.o_proj.weight", shape.hidden, q, 0, "layers")
        yield Tensor("norm", ours + "ffn_norm.weight", theirs + "post_attention_layernorm.weight", 1, shape.hidden, 0, "norms")
        yield Tensor("matrix", ours + "ffn_gate.weight", theirs + "mlp.gate_proj.weight", shape.ffn, shape.hidden, 0, "layers")
        yield Tensor("matrix", ours + "ffn_up.weight", theirs + "mlp.up_proj.weight", shape.ffn, shape.hidden, 0, "layers")
        yield Tensor("matrix", ours + "ffn_down.weight", theirs + "mlp.down_proj.weight", shape.hidden, shape.ffn, 0, "layers")
    yield Tensor("norm", "output_norm.weight", "model.norm.weight", 1, shape.hidden, 0, "norms")
    if not shape.tied:
        yield Tensor("matrix", "output.weight", "lm_head.weight", shape.vocab, shape.hidden, 0, "head")


def parameters(shape):
    return sum(tensor.rows * tensor.cols for tensor in tensors(shape) if tensor.checkpoint)


def kv_bytes(shape):
    """Keys and values of one position, f16."""
    return 2 * shape.layers * shape.kv_heads * shape.head_dim * 2


LLAMA3_SCALING = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}


def rope_factors(shape):
    """What rope_freqs.weight holds: the number by which each frequency is divided under the llama3 rule."""
    low, high = LLAMA3_SCALING["low_freq_factor"], LLAMA3_SCALING["high_freq_factor"]
    original = LLAMA3_SCALING["original_max_position_embeddings"]
    turns = original * shape.rope_base ** (-np.arange(0, shape.head_dim, 2, dtype=np.float64) / shape.head_dim) / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / shape.rope_factor + smooth)).astype(np.float32)


def config_json(shape, dtype, affine=None):
    llama = shape.family == "llama"
    config = {
        "architectures": ["LlamaForCausalLM" if llama else "Qwen2ForCausalLM"],
        "attention_dropout": 0.0,
        **({"attention_bias": False, "mlp_bias": False, "head_dim": shape.head_dim} if llama else {}),
        "bos_token_id": {"qwen2": 151643, "llama": 128000}[shape.family] if shape.vocab > 128000 else 1,
        "eos_token_id": {"qwen2": 151645, "llama": 128009}[shape.family] if shape.vocab > 128000 else 2,
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "initializer_range": 0.02,
        "intermediate_size": shape.ffn,
        "max_position_embeddings": shape.context,
        "model_type": shape.family,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "rms_norm_eps": shape.epsilon,
        "rope_scaling": {"factor": shape.rope_factor, **LLAMA3_SCALING} if shape.rope_factor else None,
        "rope_theta": shape.rope_base,
        "tie_word_embeddings": shape.tied,
        "torch_dtype": dtype,
        "use_cache": True,
        "vocab_size": shape.vocab,
    }
    if not llama:
        config |= {"use_sliding_window": False, "sliding_window": 32768, "max_window_layers": shape.layers}
    if affine:
        config["quantization"] = config["quantization_config"] = {"group_size": affine.group, "bits": affine.bits}
    return config


def add_gguf_metadata(file, shape, format_):
    """The entries that llama.cpp's converter writes, without the tokenizer."""
    arch = shape.family
    file.add("general.architecture", gguf.STRING, arch)
    file.add("general.type", gguf.STRING, "model")
    file.add("general.name", gguf.STRING, f"{shape.name} (random weights)")
    numbers = [
        ("block_count", shape.layers),
        ("context_length", shape.context),
        ("embedding_length", shape.hidden),
        ("feed_forward_length", shape.ffn),
        ("attention.head_count", shape.heads),
        ("attention.head_count_kv", shape.kv_heads),
    ]
    if arch == "llama":
        numbers += [("attention.key_length", shape.head_dim), ("attention.value_length", shape.head_dim)]
        numbers += [("rope.dimension_count", shape.head_dim), ("vocab_size", shape.vocab)]
    for key, value in numbers:
        file.add(f"{arch}.{key}", gguf.UINT32, value)
    file.add(f"{arch}.rope.freq_base", gguf.FLOAT32, shape.rope_base)
    file.add(f"{arch}.attention.layer_norm_rms_epsilon", gguf.FLOAT32, shape.epsilon)
    file.add("general.quantization_version", gguf.UINT32, 2)
    file.add("general.file_type", gguf.UINT32, format_.file_type)
