"""The command line: what it prints, how it refuses, its exit codes."""
import hashlib
import json
import math
import os
import pathlib
import re
import struct
import subprocess

import pytest

from conftest import ROOT, Server, tiny_models


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
    context["messages"].append({"role": "assistant", "content": "Ho, "})
    body = json.dumps({"messages": context["messages"], "continue_final_message": True})
    assert run("template", "smollm2", "--context", body).stdout.endswith("<|im_start|>assistant\nHo, ")
    assert "bos_token" in run("template", "smollm2", "--context", json.dumps(context | {"bos_token": "x"})).stderr


def test_template_in_bulk(run, tmp_path):
    chat, config, contexts = tmp_path / "chat.jinja", tmp_path / "tokenizer_config.json", tmp_path / "contexts.jsonl"
    chat.write_text("{{ x }} in {{ strftime_now('%Y-%m-%dT%H:%M:%S') }}")
    contexts.write_text('{"x": 1}\n[]\n\n{"x": "ü"}\n')
    done = run("template", chat, "--context", f"@{contexts}", "--json", env={"MILLRACE_NOW": "2023-11-14T22:13:20Z", "TZ": "UTC"})
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answers[0], answers[2]] == [{"prompt": f"{x} in 2023-11-14T22:13:20"} for x in (1, "ü")]
    assert set(answers[1]) == {"error", "code"} and answers[1]["code"] == "invalid argument" and done.returncode == 2
    assert run("template", chat, "--now", "0", "--context", "{}", env={"TZ": "UTC"}).stdout == " in 1970-01-01T00:00:00"
    for command in (["template", chat], ["serve", "smollm2"]):
        done = run(*command, env={"MILLRACE_NOW": "soon"})
        assert done.returncode == 2 and "MILLRACE_NOW" in done.stderr and "'soon'" in done.stderr
    config.write_text(json.dumps({"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]}))
    assert [run("template", config, "--context", c).stdout for c in ('{"tools": [{}]}', '{"tools": []}', '{"tools": null}', "{}")] == ["T", "D", "D", "D"]
    assert run("template", config, "--name", "tool_use").stdout == "T"
    assert run("template", config, "--name", "x").returncode == 3
    chat.write_text("a\n{{ b.c }}")
    assert run("template", chat).stderr.endswith("template line 2, column 5: 'b' is undefined\n  {{ b.c }}\n      ^\n")


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


def test_hostile_settings(run, smollm2):
    assert run("serve", tiny_models()[0], "--port", "0", "--ready-fd", "3", timeout=10).returncode == 2
    assert run("run", "smollm2", "hi", "--temperature", "nan").returncode == 2
    assert run("template", "smollm2", env={"MILLRACE_CONTEXT": "512"}).returncode == 0


def test_wrong_options_name_the_nearest(run):
    assert "did you mean '--port'?" in run("serve", "--prot=1").stderr
    assert run("serve", "--prot=1").returncode == 2
    many = run("run", "x", "Tell", "me", "more")
    assert many.returncode == 2 and "me more" in many.stderr and "quotes" in many.stderr
    behind = run("run", "x", "--", "hi", "--max-tokens", "3")
    assert behind.returncode == 2 and "did you mean" not in behind.stderr


@pytest.mark.parametrize("option, bad, good", [
    ("--allowed-origin", ["bad", "*", "https://example.org/", "https://Example.org"], "like https://example.org"),
    ("--allowed-host", ["http://example.org", "example.org:80"], "like llm.example.org"),
])
def test_what_would_never_match_is_refused(run, option, bad, good):
    for value in bad:
        done = run("serve", tiny_models()[0], "--port", "0", option, value, timeout=10)
        assert done.returncode == 2 and option in done.stderr and value in done.stderr and good in done.stderr


def test_a_damaged_entry_of_the_store_harms_no_other(run, tmp_path):
    env = {"MILLRACE_HOME": str(tmp_path)}
    for alias in ("good", "odd"):
        assert run("add", tiny_models()[0], "--alias", alias, env=env).returncode == 0
    entry = tmp_path / "models/odd.toml"
    entry.write_text(entry.read_text() + "temperature = 'warm'\n")
    done = run("run", "odd", "hi", env=env)
    assert done.returncode == 4 and "odd.toml: 'temperature': expected a number" in done.stderr
    running = Server(env=env)
    assert [model["id"] for model in running.get("/v1/models")[1]["data"]] == ["good"]
    assert running.stop() == 0 and "left out: " in running.log


def test_a_folder_without_a_model(run, tmp_path):
    """However it is named, and whichever command opens it."""
    for command in (["serve"], ["run"], ["inspect"], ["tokenize"], ["template"], ["bench", "model"], ["add", "--alias", "x"]):
        done = run(*command, tmp_path, stdin="x")
        assert done.returncode == 3 and str(tmp_path) in done.stderr, (command, done.stderr)


def test_output_that_cannot_be_written(millrace):
    for command in (["version"], ["run", tiny_models()[0], "hi"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([millrace, *command], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 1 and done.stderr.count("could not be written: No space left") == 1


def test_a_prompt_is_utf8(millrace):
    for arguments in ([b"caf\xe9"], [b"hi", b"--system", b"caf\xe9"]):
        done = subprocess.run([millrace, "run", tiny_models()[0], *arguments], capture_output=True, timeout=60)
        assert done.returncode == 2 and b"not UTF-8: byte 4" in done.stderr


def test_the_exit_code_is_that_of_the_server_that_did_not_start(run, tmp_path):
    assert run("run", tiny_models()[0], "hi", "--context", "100000").returncode == 2
    done = run("run", tiny_models()[0], "hi", env={"MILLRACE_LIBEXEC": str(tmp_path)})
    assert done.returncode == 3 and done.stderr.count(str(tmp_path)) == 1


def test_keys(run, tmp_path, millrace):
    """A server that `run` starts serves it, whatever keys the settings of servers name; a foreign one needs its key."""
    config = tmp_path / "keys.toml"
    config.write_text('[serve]\napi-key = ["me=sesame-open"]\n')
    model = tiny_models()[0]
    assert run("run", model, "hi", "--max-tokens", "1", "--config", config).returncode == 0
    assert run("run", model, "hi", "--max-tokens", "1", env={"MILLRACE_API_KEY": "me=sesame-open"}).returncode == 0
    done = run("run", model, "hi", "--max-tokens", "1", env={"MILLRACE_HOST": "0.0.0.0"})
    assert done.returncode == 0 and "at http://127.0.0.1:" in done.stderr
    locked = Server(model, "--config", config)
    try:
        ask = ["run", "model", "hi", "--max-tokens", "1", "--server", locked.url]
        assert run(*ask).returncode == 2 and run(*ask, "--api-key", "wrong-wrong").returncode == 2
        assert run(*ask, "--api-key", "sesame-open").returncode == 0
        told = run("status", "--server", locked.url)
        assert told.returncode == 0 and " model " in told.stdout and "running" not in told.stdout and "--api-key" in told.stderr
        assert "0 running" in run("status", "--server", locked.url, "--api-key", "sesame-open").stdout
    finally:
        locked.stop()


def test_addresses_of_servers(run, tiny):
    for address in (tiny.url, tiny.url + "/", tiny.url + "/v1", tiny.url + "/v1/", tiny.url.removeprefix("http://")):
        done = run("status", "--server", address)
        assert done.returncode == 0 and done.stdout.startswith(tiny.url + ": millrace 0."), address
        assert run("run", "model", "hi", "--max-tokens", "1", "--server", address).returncode == 0
    for address in ("", "ftp://127.0.0.1", "file:///etc/passwd", "http://", "127.0.0.1:1/path", "a b"):
        done = run("status", "--server", address)
        assert done.returncode == 2 and "http://127.0.0.1:11440" in done.stderr, address


def test_store(run, tmp_path):
    env = {"MILLRACE_HOME": str(tmp_path / "home")}
    model = tiny_models()[0]
    assert run("list", env=env).stdout == ""
    assert run("add", model, "--alias", "tiny", env=env).returncode == 0
    assert run("list", env=env).stdout.startswith("tiny ")
    bad = run("add", model, "--alias", "other", "--sha256", "0" * 64, env=env)
    assert bad.returncode == 4 and "expected SHA-256" in bad.stderr
    for hash in ("zz", "0" * 63, "g" * 64):
        malformed = run("add", model, "--alias", "other", "--sha256", hash, env=env)
        assert malformed.returncode == 2 and "malformed" in malformed.stderr and "download" not in malformed.stderr
    good = hashlib.sha256(model.read_bytes()).hexdigest().upper()
    assert run("add", model, "--alias", "tiny", "--sha256", good, env=env).returncode == 0
    assert run("add", model, "--alias", "other", "--temperature", "nan", env=env).returncode == 2
    assert run("add", model, env=env).returncode == 2
    assert run("add", model, env={**env, "MILLRACE_ALIAS": "tiny"}).returncode == 0
    assert run("add", model, "--alias", "../evil", env=env).returncode == 2
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(model.read_bytes()[:-100])
    assert run("add", cut, "--alias", "cut", env=env).returncode == 4
    assert sorted(p.name for p in (tmp_path / "home/models").iterdir()) == ["tiny.toml"]


def test_damage_in_the_store(run, tmp_path):
    env = {"MILLRACE_HOME": str(tmp_path)}
    model = tiny_models()[0]
    assert run("add", model, "--alias", "tiny", env=env).returncode == 0
    stored = next((tmp_path / "files").iterdir())
    stored.write_bytes(bytes(len(model.read_bytes())))
    assert run("run", "tiny", "hi", env=env).returncode == 4
    assert run("add", model, "--alias", "tiny", env=env).returncode == 0
    assert stored.read_bytes() == model.read_bytes()
    (tmp_path / "models/broken.toml").write_text("what [\n")
    listed = run("list", env=env)
    assert listed.returncode == 4 and "broken.toml: line 1" in listed.stderr and listed.stdout.startswith("tiny ")
    assert "has: tiny)" in run("inspect", "nope", env=env).stderr
    assert run("tokenize", "tiny", "a", env=env).returncode == 0
    assert run("list", env={"MILLRACE_HOME": "/dev/null"}).returncode == 5


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
    assert "tok/s" in done.stderr and "GB/s" in done.stderr and re.search("% of the roof|above the roof", done.stderr)


def test_no_machine_paths_in_the_programs(millrace):
    for program in (millrace, millrace.parent.parent / "libexec/millrace-worker"):
        assert program.exists()
        assert os.access(program, os.X_OK)
        assert b"MILLRACE_SOURCE_DIR" not in pathlib.Path(program).read_bytes()
    assert (ROOT / "LICENSE").exists()
