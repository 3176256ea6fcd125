"""Other people's implementations of the same models, over the same exact weights.

transformers (float64 weights on the CPU, eager attention; its norms and rotations are float32 all the same) is the rule for every family.
mlx-lm (float32) is asked too where it follows that rule, which `departs` knows. Besides, version 0.32 rounds the scale of gemma3's embedding
to bfloat16, which is undone here.
"""

import json
import pathlib
import tempfile

import golden_write
import numpy as np
from golden_formats import from_bf16


def departs(config):
    """Why mlx-lm 0.32 is not asked about this model, or nothing."""
    family = config["model_type"]
    if family in ("mistral", "gemma2", "phi3", "qwen2", "starcoder2") and golden_write.describe(config).layers[-2 if family == "gemma2" else -1].window:
        return "mlx-lm does not know the window of this family"
    if family == "starcoder2":
        return "mlx-lm computes the exact gelu where the configuration says its tanh form"
    return ""


def transformers_logits(model, description, exact, prompts):
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        arrays = golden_write.checkpoint_weights(description, exact)
        (folder / "model.safetensors").write_bytes(golden_write.safetensors_bytes(arrays))
        config = golden_write.file_config(model._replace(form="hf")) | {"torch_dtype": "float64"}
        (folder / "config.json").write_text(json.dumps(config))
        network, info = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float64, attn_implementation="eager", experts_implementation="eager",
            output_loading_info=True)  # fmt: skip
    wrong = [key for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if info[key]]
    assert not wrong, f"{model.name}: {[(key, info[key]) for key in wrong]}"
    with torch.no_grad():
        return [network(torch.tensor([tokens])).logits[0].double().numpy() for tokens in prompts]


def mlx_logits(model, description, exact, prompts):
    import mlx.core as mx
    from mlx_lm.utils import _get_classes

    mx.set_default_device(mx.cpu)
    config = {"mlp_only_layers": [], "attention_bias": False, "mlp_bias": False} | golden_write.file_config(model._replace(form="hf"))
    model_class, arguments = _get_classes(config)
    network = model_class(arguments.from_dict(config))
    arrays = {name: mx.array(value.astype(np.float32)) for name, value in golden_write.checkpoint_weights(description, exact).items()}
    if hasattr(network, "sanitize"):
        arrays = network.sanitize(arrays)
    network.load_weights(list(arrays.items()))
    if description.family == "gemma3_text":
        exact_embedding_scale(network, description)
    return [np.array(network(mx.array([tokens])))[0] for tokens in prompts]


def exact_embedding_scale(network, description):
    """Undoes the rounding to bfloat16: the rows are stretched by what the scale lost."""
    import mlx.core as mx

    scale = description.hidden**0.5
    rounded = mx.array(scale, mx.bfloat16).astype(mx.float32).item()
    table = network.model.embed_tokens.weight
    if network.tie_word_embeddings:
        network.lm_head_table = table
        network.model.embed_tokens.as_linear = lambda x: x @ table.T
    network.model.embed_tokens.weight = table * (scale / rounded)


def differs_from_mlx_values(model, tensors):
    """True if MLX reads other values from the stored codes, scales and biases than we wrote (to float32's rounding)."""
    import mlx.core as mx

    worst, count = 0.0, 0
    for place, _, stored in tensors:
        if len(stored) != 3:
            continue
        count += 1
        words, scales, biases = stored
        bits, group = (model.overrides or {}).get(place.name.removesuffix(".weight"), model.matrix)
        parts = [mx.array(part.astype(np.float32)) if model.floats != "BF16" else mx.array(from_bf16(part).astype(np.float32))
                 for part in (scales, biases)]  # fmt: skip
        theirs = np.array(mx.dequantize(mx.array(words), *parts, group, bits))
        ours = read_affine(words, *(np.array(part) for part in parts), bits)
        worst = max(worst, np.abs(theirs - ours).max() / np.abs(ours).max())
    if count:
        print(f"{model.name}: largest difference from mlx.dequantize over {count} tensors {worst:.1e} of the largest weight")
    return worst > 1e-6


def read_affine(words, scales, biases, bits):
    stream = (words[..., None].astype(np.uint64) >> np.arange(32, dtype=np.uint64)) & 1
    codes = (stream.reshape(*words.shape[:-1], -1, bits) << np.arange(bits, dtype=np.uint64)).sum(axis=-1)
    groups = codes.reshape(*scales.shape, -1).astype(np.float64)
    return (groups * scales[..., None] + biases[..., None]).reshape(codes.shape)
