"""The MLX engine through the whole program, under ./check --engine mlx (conftest.py)."""
import json

import pytest

from conftest import Server, tiny_models


def test_default_model_names_the_capital(run, default_model):
    done = run("run", "smollm2", "Name the capital of France.", "--temperature", 0, "--max-tokens", 12, "--stats", timeout=300)
    assert done.returncode == 0 and "Paris" in done.stdout, done.stderr
    assert "tok/s" in done.stderr and "roof not measured" in done.stderr


@pytest.mark.parametrize("model", tiny_models(), ids=lambda path: path.parent.name)
def test_every_tiny_model_answers(model):
    running = Server(model)
    state = running.model_state()
    assert state["engine"] == "mlx"
    status, reply = running.post("/v1/chat/completions", {"model": state["id"], "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8,
                                                          "ignore_eos": True})
    assert status == 200 and reply["usage"]["completion_tokens"] == 8
    assert running.stop() == 0, running.log
    assert "weights: " in running.log


def test_bench_runs_inside_the_worker_program(run):
    done = run("bench", "model", tiny_models()[0], "--depths", "0,8", "--batches", "1,2", "--prompts", 16, "--tokens", 4, "--rounds", 1, "--json",
               timeout=120)
    report = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0 and report["engine"] == "mlx" and report["ok"] is True
    assert [(row["depth"], row["batch"]) for row in report["decode"]] == [(0, 1), (0, 2), (8, 1), (8, 2)]


def test_instruction_sets_are_not_its_business(run):
    done = run("serve", tiny_models()[0], "--port", 0, "--isa", "avx2", timeout=60)
    assert done.returncode == 4 and "--engine cpu" in done.stderr
