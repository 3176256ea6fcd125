"""The command line: what it prints, how it refuses, its exit codes."""
import json
import math
import os
import pathlib
import struct
import subprocess

import pytest

from conftest import ROOT, tiny_models


def test_help_teaches(run):
    done = run("--help")
    assert done.returncode == 0 and "millrace serve smollm2" in done.stdout and "Exit codes" in done.stdout
    for command in ("serve", "run", "inspect", "tokenize", "template", "bench", "version", "add", "list", "status", "convert"):
        assert run(command, "--help").returncode == 0


def test_wrong_usage(run):
    assert run().returncode == 2
    assert "serve" in run("nonsense").stderr and run("nonsense").returncode == 2
    assert run("run", "smollm2", "").returncode == 2
    assert run("run", "smollm2", "hi", "--max-tokens", "0").returncode == 2
    assert run("serve", tiny_models()[0], "--port", "0", "--context", "1").returncode == 2
    assert run("serve", "--port", "99999").returncode == 2
    assert run("inspect").returncode == 2


def test_version(run):
    assert run("version").stdout.startswith("millrace ")
    assert set(json.loads(run("version", "--json").stdout)) == {"version", "build"}


def test_unknown_model_says_what_there_is(run, smollm2):
    done = run("tokenize", "nope", "x")
    assert done.returncode == 3 and "smollm2" in done.stderr and "millrace add" in done.stderr


def test_inspect(run, smollm2):
    done = run("inspect", "smollm2")
    assert done.returncode == 0 and "96." in done.stdout and "Q4_1" in done.stdout
    facts = json.loads(run("inspect", "smollm2", "--json").stdout)
    assert facts["family"] == "llama" and len(facts["tensors"]) == 272
    assert sum(facts["bytes_per_token_parts"].values()) == facts["bytes_per_token"]


def test_tokenize_and_template(run, smollm2):
    tokens = json.loads(run("tokenize", "smollm2", "Hello world", "--json").stdout)
    assert tokens["count"] == len(tokens["tokens"]) == 2
    assert json.loads(run("tokenize", "smollm2", "--json", stdin="Hello world").stdout) == tokens
    context = {"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": True}
    assert run("template", "smollm2", "--context", json.dumps(context)).stdout.endswith("<|im_start|>assistant\n")
    assert run("template", "smollm2", "--context", "[]").returncode == 2


def test_bench_quality(run, smollm2, tmp_path):
    def measure(*arguments):
        done = run("bench", "quality", smollm2, "--json", *arguments, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    figures = measure("--tokens", 300, "--window", 128)
    assert figures["ok"] and figures["verdict"] == "holds" and {"cpu", "isa", "threads", "load"} <= set(figures)
    assert figures["tokens"] == 300 - 3 and 2 < figures["nll"] < 4
    assert figures["perplexity"] == pytest.approx(math.exp(figures["nll"]))
    text = tmp_path / "text"
    text.write_text((ROOT / "tests/data/public_domain.txt").read_text())
    assert measure("--tokens", 300, "--window", 128, "--file", text)["nll"] == figures["nll"], "the built-in text is that file"
    reference = measure("--tokens", 300, "--window", 128, "--reference")
    assert reference["reference"] and abs(reference["nll"] / figures["nll"] - 1) < 0.02
    text.write_text("a")
    assert run("bench", "quality", smollm2, "--file", text).returncode == 2
    assert run("bench", "quality", smollm2, "--file", tmp_path / "none").returncode == 3
    assert run("bench", "quality", smollm2, "--window", 1 << 20).returncode == 2


def test_configuration_file_and_environment(run, tmp_path, smollm2):
    config = tmp_path / "millrace.toml"
    config.write_text('[tokenize]\njson = true\n')
    assert run("--config", config, "tokenize", "smollm2", "a").stdout.startswith("{")
    assert run("tokenize", "smollm2", "a", env={"MILLRACE_JSON": "true"}).stdout.startswith("{")
    assert run("tokenize", "smollm2", "a", "--config", config).stdout.startswith("{")
    config.write_text('[tokenize]\nnonsense = 1\n')
    assert run("--config", config, "version").returncode == 2
    config.write_text('[tokenize\n')
    done = run("--config", config, "version")
    assert done.returncode == 2 and "line" in done.stderr


def test_hostile_settings(run, smollm2):
    assert run("--config", "/dev/zero", "list", timeout=10).returncode == 2
    assert run("serve", tiny_models()[0], "--port", "0", "--ready-fd", "3", timeout=10).returncode == 2
    assert run("run", "smollm2", "hi", "--temperature", "nan").returncode == 2
    assert run("template", "smollm2", env={"MILLRACE_CONTEXT": "512"}).returncode == 0


def test_output_that_cannot_be_written(millrace):
    with open("/dev/full", "w") as full:
        assert subprocess.run([millrace, "version"], stdout=full, stderr=subprocess.DEVNULL).returncode == 1


def test_store(run, tmp_path):
    env = {"MILLRACE_HOME": str(tmp_path / "home")}
    model = tiny_models()[0]
    assert run("list", env=env).stdout == ""
    assert run("add", model, "--alias", "tiny", env=env).returncode == 0
    assert run("list", env=env).stdout.startswith("tiny ")
    bad = run("add", model, "--alias", "other", "--sha256", "0" * 64, env=env)
    assert bad.returncode == 4 and "expected SHA-256" in bad.stderr
    assert run("add", model, "--alias", "../evil", env=env).returncode == 2
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(model.read_bytes()[:-100])
    assert run("add", cut, "--alias", "cut", env=env).returncode == 4
    assert sorted(p.name for p in (tmp_path / "home/models").iterdir()) == ["tiny.toml"]


def bad_files(folder):
    good = tiny_models()[0].read_bytes()
    files = {
        "empty": b"",
        "text": b"hello, I am no model",
        "short": good[:100],
        "cut": good[: len(good) // 2],
        "counts": good[:8] + struct.pack("<QQ", 1 << 60, 1 << 60) + good[24:],
        "version": good[:4] + struct.pack("<I", 99) + good[8:],
        "architecture": good.replace(b"llama", b"lemma"),
    }
    for name, data in files.items():
        path = folder / f"{name}.gguf"
        path.write_bytes(data)
        yield path


@pytest.mark.parametrize("command", ["serve", "run", "inspect"])
def test_bad_model_files(run, tmp_path, command):
    for path in bad_files(tmp_path):
        done = run(command, path, *(["Hi"] if command == "run" else []), *(["--port", "0"] if command == "serve" else []), timeout=20)
        assert done.returncode in (4, 5), (path.name, done.returncode, done.stderr)
        assert path.name in done.stderr, (path.name, done.stderr)
        assert len(done.stderr.strip().splitlines()) <= 4, done.stderr


def test_no_memory(run):
    """A context that no machine holds is refused with the sum, not killed."""
    done = run("serve", tiny_models()[0], "--port", "0", "--slots", 256, "--context", 100_000_000, timeout=30)
    assert done.returncode in (2, 4, 6) and done.stderr.strip()


def test_one_shot_run_from_standard_input(run, smollm2):
    done = run("run", "smollm2", "--temperature", "0", "--stats", stdin="Name the capital of France.", timeout=120)
    assert done.returncode == 0 and "Paris" in done.stdout
    assert "tok/s" in done.stderr and "GB/s" in done.stderr and "% of the roof" in done.stderr


def test_no_machine_paths_in_the_programs(millrace):
    for program in (millrace, millrace.parent.parent / "libexec/millrace-worker"):
        assert program.exists()
        assert os.access(program, os.X_OK)
        assert b"MILLRACE_SOURCE_DIR" not in pathlib.Path(program).read_bytes()
    assert (ROOT / "LICENSE").exists()
