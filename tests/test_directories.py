"""Model directories through every command: the same as the GGUF file of the same model, and one clear error for each way to be wrong."""
import json
import shutil

import pytest

from directories import GOLDEN, change, write_directory


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write_directory(tmp_path_factory.mktemp("models") / "tiny-hf")


def test_says_what_it_is(run, directory):
    facts = json.loads(run("inspect", directory, "--json").stdout)
    same = json.loads(run("inspect", GOLDEN, "--json").stdout)
    assert facts["format"] == "safetensors" and facts["template"] and len(facts["files"]) == 7
    for key in ("family", "vocab", "context_length", "bytes_per_token", "bytes_per_token_parts"):
        assert facts[key] == same[key], key
    shown = run("inspect", directory / "config.json").stdout
    assert "model-00002-of-00002.safetensors" in shown and "halves" in shown and "20 tensors" in shown


def test_text_is_that_of_the_gguf_file(run, directory):
    for text in ("The mill turns 42 times.", "  \n<|im_end|>", "naïve 北京 🙂"):
        assert run("tokenize", directory, text, "--special", "--json").stdout == run("tokenize", GOLDEN, text, "--special", "--json").stdout
    assert run("template", directory).stdout == run("template", GOLDEN).stdout != ""


def test_answers_are_those_of_the_gguf_file(run, directory):
    answers = [run("run", model, "The mill", "--max-tokens", "24", "--temperature", "0") for model in (directory, GOLDEN)]
    assert answers[0].returncode == 0, answers[0].stderr
    assert answers[0].stdout == answers[1].stdout != ""


def test_benches_without_a_tokenizer(run, directory, tmp_path):
    copy = shutil.copytree(directory, tmp_path / "bare")
    (copy / "tokenizer.json").unlink()
    done = run("bench", "model", copy, "--depths", "0", "--batches", "1", "--prompts", "16", "--tokens", "2", "--rounds", "1", "--json")
    assert done.returncode == 0 and json.loads(done.stdout.splitlines()[-1])["ok"], done.stderr
    done = run("serve", copy, "--port", "0")
    assert done.returncode == 3 and "tokenizer.json: missing" in done.stderr


def test_an_alias_points_at_the_directory(run, directory, tmp_path):
    home = {"MILLRACE_HOME": str(tmp_path)}
    done = run("add", directory, "--alias", "tiny", env=home)
    assert done.returncode == 0 and "served from where it is" in done.stderr
    assert str(directory) in run("list", env=home).stdout
    assert run("tokenize", "tiny", "mill", env=home).returncode == 0


def test_any_name_will_do(run, directory, tmp_path):
    copy = shutil.copytree(directory, tmp_path / ("n" * 200))
    done = run("run", copy, "The mill", "--max-tokens", "4")
    assert done.returncode == 0, done.stderr


def break_shard(folder):
    (folder / "model-00002-of-00002.safetensors").unlink()


def break_size(folder):
    path = folder / "model-00001-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-4])


def break_config(folder):
    (folder / "config.json").unlink()


@pytest.mark.parametrize("harm,words", [
    (break_shard, ["model-00002-of-00002.safetensors: missing", "model.safetensors.index.json"]),
    (break_size, ["model-00001-of-00002.safetensors", "data_offsets"]),
    (break_config, ["no config.json"]),
    (lambda folder: change(folder, "config.json", model_type="lama"), ["'lama'", "nearest is 'llama'"]),
    (lambda folder: change(folder, "config.json", intermediate_size=100), ["mlp.gate_proj.weight", "[100, 64]", "[96, 64]"]),
    (lambda folder: change(folder, "config.json", quantization_config={"quant_method": "gptq"}), ["\"gptq\"", "--quantize"]),
    (lambda folder: change(folder, "config.json", quantization={"group_size": 64, "bits": 3}), ["quantization.bits", "3", "4, 6, 8"]),
    (lambda folder: change(folder, "tokenizer_config.json", eos_token="<|none|>"), ["eos_token", "<|none|>"]),
])  # fmt: skip
def test_one_clear_error(run, directory, tmp_path, harm, words):
    copy = shutil.copytree(directory, tmp_path / "broken")
    harm(copy)
    done = run("serve", copy, "--port", "0")
    assert done.returncode not in (0, 1), done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert str(copy) in last and all(word in last for word in words), done.stderr


def test_nothing_to_serve(run, tmp_path):
    assert "empty directory" in run("inspect", tmp_path / ".").stderr
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    assert "pytorch_model.bin" in run("inspect", f"{tmp_path}/").stderr
    assert run("inspect", "/dev/").returncode != 0 and run("inspect", "/dev/null").returncode != 0
