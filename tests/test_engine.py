"""--engine: what is chosen, what is said about it, and what happens where MLX is missing or broken. A script plays millrace-worker-mlx."""
import json
import os
import stat

import pytest

from conftest import MILLRACE, Server, tiny_models


@pytest.fixture
def without_mlx(tmp_path):
    """The environment that finds a folder with the real worker and nothing else."""
    (tmp_path / "millrace-worker").symlink_to(MILLRACE.parent.parent / "libexec/millrace-worker")
    return {"MILLRACE_LIBEXEC": str(tmp_path)}


@pytest.fixture
def fake_mlx(without_mlx, tmp_path):
    """Puts a millrace-worker-mlx beside it."""
    def make(script):
        program = tmp_path / "millrace-worker-mlx"
        program.write_text("#!/bin/sh\n" + script)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return without_mlx
    return make


def log_of(arguments, env):
    running = Server(tiny_models()[0], *arguments, env=env)
    engine = running.model_state()["engine"]
    assert running.stop() == 0
    return engine, running.log


def test_missing_program_says_how_to_build_it(run, without_mlx):
    done = run("serve", tiny_models()[0], "--port", 0, "--engine", "mlx", env=without_mlx)
    assert done.returncode == 3, done.stderr
    assert "cmake --workflow --preset mlx" in done.stderr and "--engine cpu" in done.stderr
    assert without_mlx["MILLRACE_LIBEXEC"] in done.stderr


def test_auto_without_mlx(without_mlx):
    engine, log = log_of(["--engine", "auto"], without_mlx)
    assert engine == "cpu" and "engine cpu: millrace-worker-mlx is not installed" in log


def test_auto_without_a_gpu(fake_mlx):
    engine, log = log_of(["--engine", "auto"], fake_mlx('echo \'{"device":"x","gpu":false}\' >&3\n'))
    assert engine == "cpu" and "engine cpu: MLX finds no GPU here" in log


def test_auto_survives_a_probe_that_aborts(fake_mlx):
    engine, log = log_of(["--engine", "auto"], fake_mlx("kill -ABRT $$\n"))
    assert engine == "cpu" and "MLX does not work here" in log and "signal 6" in log


def test_auto_takes_mlx_where_it_finds_a_gpu(run, fake_mlx):
    """The worker then dies at once, so the server ends; that it was tried is in its log."""
    env = fake_mlx('[ "$1" = --probe ] && echo \'{"device":"Big Chip","gpu":true}\' >&3 && exit 0\nexit 9\n')
    done = run("serve", tiny_models()[0], "--port", 0, "--engine", "auto", "--drain-timeout", 0, env=env, timeout=60)
    assert "engine mlx: MLX computes on Big Chip" in done.stderr and "exit code 9" in done.stderr


@pytest.mark.parametrize("script, words", [("kill -ABRT $$\n", "signal 6"), ("exit 0\n", "no answer"),
                                           ('echo \'{"error":"it is Tuesday"}\' >&3; exit 1\n', "it is Tuesday")])
def test_broken_mlx_is_refused_with_the_other_engine(run, fake_mlx, script, words):
    for command in (["serve", tiny_models()[0], "--port", 0], ["bench", "model", tiny_models()[0]], ["run", tiny_models()[0], "hi"]):
        done = run(*command, "--engine", "mlx", env=fake_mlx(script))
        assert done.returncode == 5 and words in done.stderr and "--engine cpu" in done.stderr, (command, done.stderr)


def test_engine_is_a_setting_like_others(run, without_mlx, tmp_path):
    config = tmp_path / "millrace.toml"
    config.write_text('[serve]\nengine = "abacus"\n')
    assert run("serve", tiny_models()[0], "--config", config, env={"MILLRACE_ENGINE": ""}).returncode == 2
    env = {"MILLRACE_ENGINE": "mlx", **without_mlx}
    assert "preset mlx" in run("serve", tiny_models()[0], "--port", 0, env=env).stderr


def test_bench_model_on_the_cpu_engine(run):
    done = run("bench", "model", tiny_models()[0], "--engine", "cpu", "--depths", 0, "--batches", 1, "--prompts", 16, "--tokens", 4, "--rounds", 1,
               "--json")
    assert done.returncode == 0 and json.loads(done.stdout.splitlines()[-1])["engine"] == "cpu", os.linesep.join([done.stdout, done.stderr])
