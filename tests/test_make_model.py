"""tools/make_model: the same numbers in every format, and files exactly as large as announced."""
import json
import struct
import subprocess
import sys

import pytest

from conftest import MILLRACE, ROOT

sys.path.insert(0, str(ROOT / "tools"))
import block_quantize  # noqa: E402
import gguf_numpy as gguf  # noqa: E402
import model_shapes  # noqa: E402
import numpy as np  # noqa: E402
import random_weights  # noqa: E402

FORMATS = ["mlx-4bit", "mlx-8bit", "hf-bf16", *(f"gguf-{name}" for name in block_quantize.GGUF_FORMATS)]
# Codes of a format's range; a value comes back within one step of (range of its row) / codes, or within a float's rounding.
CODES = {"4bit": 15, "8bit": 255, "q4_0": 15, "q4_1": 15, "q5_0": 31, "q5_1": 31, "q8_0": 254, "q4_k": 15, "q5_k": 31, "q6_k": 63}


def make(path, name, format_, *arguments):
    command = [sys.executable, ROOT / "tools/make_model", name, "--format", format_, "--out", path, "--json", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module", params=["tiny-llama", "tiny-qwen2"])
def models(request, tmp_path_factory):
    """The tiny shape in every format: {format: (path, facts)}"""
    folder, made = tmp_path_factory.mktemp(request.param), {}
    for format_ in FORMATS:
        done = make(folder / format_, request.param, format_)
        assert done.returncode == 0, done.stderr
        made[format_] = folder / format_, json.loads(done.stdout.splitlines()[-1])
    return model_shapes.SHAPES[request.param], made


def true_values(shape, tensor):
    return np.concatenate([random_weights.rows(shape, 1, tensor, *chunk) for chunk in random_weights.chunks(tensor)])


def read_safetensors(folder):
    data = (folder / "model.safetensors").read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    arrays = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + at for at in entry["data_offsets"])
        raw = np.frombuffer(data[begin:end], {"U32": "u1", "F16": "<f2", "BF16": "<u2"}[entry["dtype"]])
        if entry["dtype"] == "BF16":
            raw = (raw.astype(np.uint32) << 16).view(np.float32)
        arrays[name] = raw.reshape(entry["shape"][0], -1) if len(entry["shape"]) == 2 else raw
    return arrays


def checkpoint_values(folder, tensor):
    arrays, name = read_safetensors(folder), tensor.checkpoint
    if name.removesuffix("weight") + "scales" not in arrays:
        return arrays[name].astype(np.float32)
    quantization = json.loads((folder / "config.json").read_text())["quantization"]
    affine = block_quantize.Affine("", quantization["bits"], quantization["group_size"])
    return block_quantize.decode_affine(*(arrays[name.removesuffix("weight") + part] for part in ("weight", "scales", "biases")), affine)


def gguf_values(path, tensor):
    by_id = {format_.gguf_id: format_ for format_ in block_quantize.GGUF_FORMATS.values()}
    for format_ in by_id.values():
        gguf.BLOCKS.setdefault(format_.gguf_id, (format_.block, format_.bytes))
    shape, type_id, data = gguf.Reader(path).tensors[tensor.gguf]
    if type_id == gguf.F32:
        return np.frombuffer(data, "<f4").reshape(shape)
    values = by_id[type_id].decode(np.frombuffer(data, np.uint8).reshape(-1, by_id[type_id].bytes)).reshape(shape)
    if tensor.heads:  # pairs side by side -> halves of a head one after the other
        size = tensor.rows // tensor.heads
        values = values.reshape(tensor.heads, size // 2, 2, tensor.cols).swapaxes(1, 2).reshape(shape)
    return values


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_holds_the_same_numbers(models, format_):
    shape, made = models
    path = made[format_][0]
    for tensor in model_shapes.tensors(shape):
        if tensor.checkpoint is None and path.is_dir():
            continue
        expected = true_values(shape, tensor)
        found = (checkpoint_values if path.is_dir() else gguf_values)(path, tensor).reshape(expected.shape)
        codes = CODES.get(format_.split("-")[1]) if tensor.kind == "matrix" else None
        if codes is None:
            np.testing.assert_allclose(found, expected, rtol=2**-11 if format_ == "gguf-f16" else 0, atol=2**-25)
        else:
            spread = np.maximum(expected.max(axis=1), 0) - np.minimum(expected.min(axis=1), 0)
            symmetric = 2 * np.abs(expected).max(axis=1)
            step = np.maximum(spread, symmetric if format_ in ("gguf-q4_0", "gguf-q5_0", "gguf-q6_k") else 0) / codes
            slack = 1.3 if format_ == "gguf-q6_k" else 1.05  # a scale of +128 is stored as 127: a quarter of a step at the extreme
            assert (np.abs(found - expected).max(axis=1) <= slack * step).all(), tensor
            # And not by accident of a wide bound: the errors are as small as rounding makes them.
            assert np.sqrt(np.mean((found - expected) ** 2)) <= 0.4 * step.mean(), tensor


@pytest.mark.parametrize("format_", FORMATS)
def test_bytes_are_the_analytic_ones(models, format_):
    """The data of all files is what the parts say, counted from the files themselves."""
    shape, made = models
    path, facts = made[format_]
    if path.is_dir():
        data = (path / "model.safetensors").read_bytes()
        stored = len(data) - 8 - struct.unpack_from("<Q", data)[0]
        assert facts["file_bytes"] == sum(file.stat().st_size for file in path.iterdir())
    else:
        stored = sum(len(data) for name, (_, _, data) in gguf.Reader(path).tensors.items() if name != "rope_freqs.weight")
        assert facts["file_bytes"] == path.stat().st_size
    embedding = next(model_shapes.tensors(shape))
    row_bytes = facts["bytes_per_token_parts"]["head"]  # the embedding is as large as the head, and read by nobody
    assert stored - (0 if shape.tied else row_bytes) == facts["weight_bytes"], embedding
    assert facts["bytes_per_token"] == facts["weight_bytes"] + model_shapes.kv_bytes(shape)


@pytest.mark.parametrize("format_", FORMATS)
def test_inspect_counts_the_same(models, format_):
    path, facts = models[1][format_]
    done = subprocess.run([MILLRACE, "inspect", path, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes_per_token_parts"] == facts["bytes_per_token_parts"]


def test_weights_depend_on_the_seed_alone(tmp_path):
    for name, arguments in (("a", ["--threads", "1"]), ("b", ["--threads", "4"]), ("c", ["--seed", "2"])):
        assert make(tmp_path / name, "tiny-llama", "gguf-q4_0", *arguments).returncode == 0
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_refusals(tmp_path):
    (tmp_path / "there").mkdir()
    assert "exists already" in make(tmp_path / "there", "tiny-llama", "mlx-4bit").stderr
    assert "256" in make(tmp_path / "x", "smollm2-135m", "gguf-q4_k").stderr
    assert "--tokenizer none" in make(tmp_path / "x", "smollm2-135m", "gguf-q4_0", "--tokenizer", "package").stderr
    assert "no directory" in make(tmp_path / "a/b", "tiny-llama", "mlx-4bit").stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
