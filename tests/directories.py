"""Model directories for tests: the tiny golden checkpoint in GGUF, written again in the manner of Hugging Face."""
import json
import pathlib
import struct
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import gguf_numpy  # noqa: E402

LAYER = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj"}  # fmt: skip
GOLDEN = ROOT / "tests/golden/tiny-f32/model.gguf"


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, values in tensors.items():
        raw = np.ascontiguousarray(values, "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def in_halves(rows, heads):
    """Undoes what GGUF files of this family do to the rows of q and k: pairs (2i, 2i + 1) go back to (i, i + half)."""
    size = rows.shape[0] // heads
    return rows.reshape(heads, size // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def write_tokenizer(folder, metadata):
    tokens = [text(token) for token in metadata["tokenizer.ggml.tokens"]]
    special = tokens[:3]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    (folder / "tokenizer.json").write_text(json.dumps({
        "added_tokens": [{"id": i, "content": token, "special": True} for i, token in enumerate(special)],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {token: i for i, token in enumerate(tokens)},
                  "merges": [text(merge) for merge in metadata["tokenizer.ggml.merges"]]}}))  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "bos_token": special[1], "eos_token": {"content": special[2]}, "unk_token": special[0], "pad_token": special[2],
        "add_bos_token": False, "chat_template": [{"name": "default", "template": text(metadata["tokenizer.chat_template"])}]}))  # fmt: skip
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 0], "temperature": 0.3, "top_p": 0.9}))


def write_directory(folder):
    """tiny-f32 in two shards with an index; the same model, so the same tokens and answers."""
    folder.mkdir(parents=True, exist_ok=True)
    file = gguf_numpy.Reader(GOLDEN)
    number = {key.removeprefix("llama."): value for key, value in file.metadata.items() if key.startswith("llama.")}
    tensors = {"model.embed_tokens.weight": file.tensor("token_embd.weight"), "model.norm.weight": file.tensor("output_norm.weight")}
    for layer in range(number["block_count"]):
        for ours, theirs in LAYER.items():
            values = file.tensor(f"blk.{layer}.{ours}.weight")
            if ours in ("attn_q", "attn_k"):
                values = in_halves(values, number["attention.head_count" + ("" if ours == "attn_q" else "_kv")])
            tensors[f"model.layers.{layer}.{theirs}.weight"] = values
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, held in shards.items():
        write_safetensors(folder / shard, {name: tensors[name] for name in held})
    weight_map = {name: shard for shard, held in shards.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps({
        "model_type": "llama", "hidden_size": number["embedding_length"], "num_hidden_layers": number["block_count"],
        "num_attention_heads": number["attention.head_count"], "num_key_value_heads": number["attention.head_count_kv"],
        "head_dim": number["attention.key_length"], "intermediate_size": number["feed_forward_length"], "vocab_size": number["vocab_size"],
        "max_position_embeddings": number["context_length"], "rms_norm_eps": 1e-5, "rope_theta": number["rope.freq_base"],
        "tie_word_embeddings": True}))  # fmt: skip
    write_tokenizer(folder, file.metadata)
    return folder


def change(folder, name, **members):
    """Sets members of a JSON file of the directory."""
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **members}))
