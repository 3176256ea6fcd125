"""millrace convert: what is kept and what is rounded, that the result is the same model, and that nothing is left behind."""
import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

from conftest import ROOT, tiny_models

sys.path.insert(0, str(ROOT / "tools"))


def converted(run, source, out, *arguments):
    done = run("convert", source, out, "--json", *arguments, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def quality(run, model, *arguments):
    done = run("bench", "quality", model, "--tokens", 300, "--window", 150, "--json", *arguments, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["nll"]


def golden(name):
    return ROOT / "tests/golden" / name / "model.gguf"


def test_floats_are_the_same_model(run, tmp_path):
    """Names, row order, ropes and tokenizer of the directory mean what the GGUF file means: under float arithmetic the same likelihood."""
    for name in ("tiny-q4", "tiny-q4-untied", "tiny-q8"):
        facts = converted(run, golden(name), tmp_path / name, "--bits", 16)
        assert facts["tokenizer"] and facts["error"] < 5e-4
        # f16 holds the dequantised values to 11 bits.
        assert quality(run, tmp_path / name, "--reference") == pytest.approx(quality(run, golden(name), "--reference"), rel=5e-4)


@pytest.mark.parametrize("folder", sorted((ROOT / "tests/golden").iterdir()), ids=lambda folder: folder.name)
def test_every_family_and_form(run, tmp_path, folder):
    source = folder / "model.gguf" if (folder / "model.gguf").exists() else folder
    converted(run, source, tmp_path / "floats", "--bits", 16)
    assert quality(run, tmp_path / "floats", "--reference") == pytest.approx(quality(run, source, "--reference"), rel=5e-4)


def test_templates_come_along(run, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(ROOT / "tests/golden/llama-hf", source)
    (source / "additional_chat_templates").mkdir()
    for name in ("chat_template.jinja", "additional_chat_templates/tool_use.jinja"):
        (source / name).write_text(f"{{# {name} #}}x")
    converted(run, source, tmp_path / "out", "--bits", 16)
    for name in ("chat_template.jinja", "additional_chat_templates/tool_use.jinja"):
        assert (tmp_path / "out" / name).read_text() == (source / name).read_text()
    assert "default, tool_use" in run("inspect", tmp_path / "out").stdout or "tool_use, default" in run("inspect", tmp_path / "out").stdout


def test_blocks_of_32_keep_every_value(run, tmp_path):
    for name, bits in (("tiny-q4", 8), ("tiny-q8", 8), ("tiny-q4-untied", 8)):
        facts = converted(run, golden(name), tmp_path / name, "--bits", bits, "--group", 32)
        matrices = [tensor for tensor in facts["tensors"] if "norm" not in tensor["name"]]
        kept = [tensor for tensor in matrices if tensor["change"] == "converted"]
        assert kept and all(tensor["error"] == 0 for tensor in kept), matrices
        assert facts["changes"].get("requantised", 0) == len(matrices) - len(kept)
    assert quality(run, tmp_path / "tiny-q4-untied", "--reference") == pytest.approx(
        quality(run, golden("tiny-q4-untied"), "--reference"), rel=1e-6)


def test_requantised_errors_follow_the_bits(run, tmp_path):
    source = golden("tiny-q8")
    errors = {bits: converted(run, source, tmp_path / str(bits), "--bits", bits)["error"] for bits in (4, 6, 8)}
    assert 0 < errors[8] < errors[6] / 3 < errors[4] / 9 and errors[4] < 0.2
    for bits, group in ((4, 64), (6, 64), (8, 64)):
        config = json.loads((tmp_path / str(bits) / "config.json").read_text())
        assert config["quantization"] == {"group_size": group, "bits": bits} == config["quantization_config"]
    # Once more to the same format: the same bytes.
    again = converted(run, tmp_path / "4", tmp_path / "again", "--bits", 4)
    assert set(again["changes"]) == {"copied"} and again["error"] == 0
    assert (tmp_path / "again/model.safetensors").read_bytes() == (tmp_path / "4/model.safetensors").read_bytes()


def test_made_models_of_both_families(run, tmp_path):
    """A checkpoint and the GGUF file of the same weights become the same directory; llama3 ropes and q, k, v biases survive."""
    for name in ("tiny-llama", "tiny-qwen2"):
        for form in ("hf-bf16", "gguf-f16"):
            command = [sys.executable, ROOT / "tools/make_model", name, "--format", form, "--out", tmp_path / f"{name}-{form}"]
            subprocess.run(command, check=True, capture_output=True)
            converted(run, tmp_path / f"{name}-{form}", tmp_path / f"{name}-{form}-8", "--bits", 8)
        from_checkpoint, from_gguf = (json.loads((tmp_path / f"{name}-{form}-8/config.json").read_text()) for form in ("hf-bf16", "gguf-f16"))
        for key in ("hidden_size", "rope_theta", "num_key_value_heads", "tie_word_embeddings", "vocab_size", "rms_norm_eps", "model_type"):
            assert from_checkpoint[key] == from_gguf[key], key
        assert (from_checkpoint["rope_scaling"] or {}) == (from_gguf["rope_scaling"] or {})


def test_refusals_leave_nothing(run, tmp_path):
    (tmp_path / "there").mkdir()
    assert run("convert", golden("tiny-q8"), tmp_path / "there", "--bits", 4).returncode != 0
    assert run("convert", golden("tiny-q8"), tmp_path / "x", "--bits", 5).returncode == 2
    assert run("convert", golden("tiny-q8"), tmp_path / "x").returncode == 2
    assert run("convert", tmp_path / "none.gguf", tmp_path / "x", "--bits", 4).returncode == 3
    assert run("convert", golden("tiny-q8"), tmp_path / "a/b", "--bits", 4).returncode == 3
    assert run("convert", tiny_models()[0], tmp_path / "x", "--bits", 4, "--group", 7).returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_tokenizer_that_cannot_be_read_is_told(run, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(ROOT / "tests/golden/llama-hf", broken)
    (broken / "tokenizer.json").write_text("[]")
    done = run("convert", broken, tmp_path / "out", "--bits", 8, "--json")
    assert done.returncode == 0 and "tokenizer is copied as it is, but this build cannot read it" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["tokenizer"] is False


def test_a_folder_named_with_a_slash(run, tmp_path):
    converted(run, golden("tiny-q8"), f"{tmp_path}/out/", "--bits", 8)
    assert (tmp_path / "out/config.json").exists()


def test_interrupted(millrace, smollm2, tmp_path):
    process = subprocess.Popen([millrace, "convert", smollm2, tmp_path / "x", "--bits", "6", "--threads", "1"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 20
    while not (tmp_path / "x.partial/model.safetensors").exists() and time.monotonic() < end:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in stderr, stderr
    assert list(tmp_path.iterdir()) == []
