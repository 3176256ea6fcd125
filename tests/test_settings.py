"""Where values come from: command line, environment, configuration file. Each complaint says where the bad value stands."""
import subprocess

import pytest

from conftest import tiny_models

MODEL = tiny_models()[0]
TOKENIZE = ("tokenize", MODEL, "a")


@pytest.fixture
def config(tmp_path):
    """Writes a configuration file and returns its path."""
    def write(text, name="my settings.toml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path
    return write


def is_json(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.startswith("{")


def test_each_place_is_read(run, config):
    on = config("[tokenize]\njson = true\n")
    assert not is_json(run(*TOKENIZE))
    assert is_json(run("--config", on, *TOKENIZE))
    assert is_json(run(*TOKENIZE, "--config", on))
    assert is_json(run(*TOKENIZE, env={"MILLRACE_CONFIG": str(on)}))
    assert is_json(run(*TOKENIZE, env={"MILLRACE_JSON": "true"}))
    config("[tokenize]\njson = true\n", "millrace/millrace.toml")
    assert is_json(run(*TOKENIZE, env={"XDG_CONFIG_HOME": str(on.parent)}))


def test_precedence(run, config):
    on, off = config("[tokenize]\njson = true\n", "on.toml"), config("[tokenize]\njson = false\n", "off.toml")
    assert not is_json(run(*TOKENIZE, "--config", on, env={"MILLRACE_JSON": "false"}))
    assert is_json(run(*TOKENIZE, "--config", off, env={"MILLRACE_JSON": "true"}))
    assert is_json(run(*TOKENIZE, "--json", env={"MILLRACE_JSON": "false"}))
    assert is_json(run(*TOKENIZE, "--config", on, env={"MILLRACE_CONFIG": str(off)}))


@pytest.mark.parametrize("text, line, says", [
    ("[serve]\n\nslots = 0\n", 3, "[serve] slots: Value 0 not in range 1 to 256"),
    ("[serve]\nport = 'x'\n", 2, "[serve] port: "),
    ("[serve]\nslots = [1, 2]\n", 2, "expected one value, found 2"),
    ("[serve]\nslots = 1979-05-27\n", 2, "'slots': expected a string, a number"),
    ("[serve]\nreference = 'banana'\n", 2, "expected true or false, found 'banana'"),
    ("[serve]\ncontext = 1\n", 2, "expected 0 or 32"),
    ("[serve]\nallowed-origin = ['bad']\n", 2, "https://example.org"),
    ("[serve]\nhost = 'localhost'\n", 2, "127.0.0.1"),
    ("[serve]\napi-key = 'short'\n", 2, "8 characters"),
    ("[serve]\nready-fd = 3\n", 2, "'3' is not open"),
    ("[serve]\n\nprot = 1\n", 3, "[serve] has no key 'prot'; did you mean 'port'?"),
    ("[serve]\nmax_tokens = 1\n", 2, "millrace serve --help lists them"),
    ("[srve]\n", 1, "no command 'srve'; did you mean 'serve'?"),
    ("[bench.rof]\nthreads = 1\n", 2, "did you mean 'roof'?"),
    ("port = 1\n", 1, "stands in no table: put it under its command's, as in [serve]"),
    ("[serve\n", 1, ""),
    ("[serve]\nslots = 1\nslots = 2\n", 3, ""),
])
def test_complaints_name_file_and_line(run, config, text, line, says):
    path = config(text)
    done = run("serve", MODEL, "--config", path, timeout=10)
    assert done.returncode == 2
    assert f"{path}, line {line}: " in done.stderr and says in done.stderr
    for flag in ("--slots", "--port", "--context", "--host", "--allowed-origin", "--api-key", "--ready-fd"):
        assert flag not in done.stderr


@pytest.mark.parametrize("variable, value, says", [
    ("MILLRACE_PORT", "abc", "Value abc not in range 0 to 65535"),
    ("MILLRACE_SLOTS", "0", "not in range"),
    ("MILLRACE_CONTEXT", "1", "expected 0 or 32"),
    ("MILLRACE_REFERENCE", "banana", "expected true or false"),
    ("MILLRACE_ALLOWED_ORIGIN", "bad", "https://example.org"),
    ("MILLRACE_READY_FD", "77", "not open"),
    ("MILLRACE_CONFIG", "/nowhere.toml", "/nowhere.toml: No such file"),
])
def test_complaints_name_the_variable(run, variable, value, says):
    done = run("serve", MODEL, env={variable: value})
    assert done.returncode == 2
    assert done.stderr.startswith(f"millrace: {variable}: ") and says in done.stderr
    assert "--" not in done.stderr


def test_later_complaints_say_what_was_not_on_the_command_line(run, config):
    done = run("serve", MODEL, env={"MILLRACE_HOST": "0.0.0.0"})
    assert done.returncode == 2 and "host from MILLRACE_HOST" in done.stderr
    path = config("[serve]\nmodels = ['no-such-model']\n")
    done = run("serve", "--config", path)
    assert done.returncode == 3 and f"models from {path}, line 2" in done.stderr


def test_a_pipe_is_a_file_too(millrace):
    for command in (f"tokenize {MODEL} a --json", f"run {MODEL} hi --max-tokens 1"):
        shell = f"{millrace} {command} --config <(echo '[tokenize]')"
        assert subprocess.run(["bash", "-c", shell], capture_output=True, timeout=60).returncode == 0


def test_broken_default_file_is_not_passed_over(run, config):
    path = config("[serve\n", "millrace/millrace.toml")
    done = run("list", env={"XDG_CONFIG_HOME": str(path.parent.parent)})
    assert done.returncode == 2 and f"{path}, line 1" in done.stderr


def test_no_file(run, tmp_path):
    for path in (tmp_path, tmp_path / "none.toml"):
        done = run("list", "--config", path)
        assert done.returncode == 2 and f"--config: {path}: " in done.stderr
    assert run("--config", "/dev/zero", "list", timeout=10).returncode == 2


def test_misspelt_variables_are_warned_of(run):
    done = run(*TOKENIZE, env={"MILLRACE_JSN": "true", "MILLRACE_SOMETHING_ELSE": "1"})
    assert done.returncode == 0 and not done.stdout.startswith("{")
    assert "MILLRACE_JSN means nothing here; did you mean 'MILLRACE_JSON'?" in done.stderr
    assert "MILLRACE_SOMETHING_ELSE means nothing here\n" in done.stderr
    assert "warning" not in run(*TOKENIZE, env={"MILLRACE_PORT": "1", "MILLRACE_HOME": "x", "MILLRACE_LIBEXEC": "y"}).stderr


def test_secrets_are_not_repeated(run, config):
    for done in (run("serve", MODEL, env={"MILLRACE_API_KEY": "hunter2"}), run("serve", MODEL, "--api-key", "hunter2"),
                 run("serve", MODEL, "--config", config("[serve]\napi-key = 'hunter2'\n"))):
        assert done.returncode == 2 and "hunter2" not in done.stderr


def test_a_started_server_reads_the_same_file(run, config):
    done = run("run", MODEL, "hi", "--config", config("[serve]\nmodels = []\nslots = 999\n"))
    assert done.returncode == 2 and "[serve] slots" in done.stderr
