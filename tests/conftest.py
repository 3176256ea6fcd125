"""Fixtures of the process lane: the built programs, a store with the default model, running servers. No test shares a server that another
one harms."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build" / (os.environ.get("CHECK_PRESET") or "release") / "bin"
MILLRACE = BIN / "millrace"
# The engine that all servers of a run use; ./check --engine NAME sets it.
ENGINE = os.environ.get("MILLRACE_ENGINE") or "cpu"
collect_ignore = [] if ENGINE == "mlx" else ["test_mlx.py"]


def pytest_configure(config):
    config.addinivalue_line("markers", "default_model: looks at what the default model says or at its size")
    config.addinivalue_line("markers", "same_bits: needs the CPU engine's promise of the same bits in any company")


def pytest_collection_modifyitems(items):
    """Other engines serve a tiny model under the default model's name, and promise no equality."""
    for item in items:
        for name in ("default_model", "same_bits"):
            if ENGINE != "cpu" and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=f"{name}, and the engine is {ENGINE}"))


class Server:
    """A `millrace serve` of our own on a free port."""

    def __init__(self, *arguments, env=None, ready_within=60):
        command = [MILLRACE, "serve", *map(str, arguments), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        os.set_blocking(self.process.stderr.fileno(), False)
        self.log = ""
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            self.process.wait(ready_within)
            raise RuntimeError(f"serve ended with {self.process.returncode}: {self.stderr()}")
        self.url = line.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])

    def stderr(self):
        try:
            self.log += self.process.stderr.read() or ""
        except (BlockingIOError, TypeError):
            pass
        return self.log

    def get(self, path, **headers):
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, self.parse(reply)
        except urllib.error.HTTPError as error:
            return error.code, self.parse(error)

    @staticmethod
    def parse(reply):
        body = reply.read()
        return json.loads(body) if "json" in (reply.headers.get("Content-Type") or "") else body.decode()

    def post(self, path, body, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def model_state(self):
        return self.get("/health")[1]["models"][0]

    def worker_pid(self):
        return self.model_state()["pid"]

    def wait_until(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.01)
        return False

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.stderr()
        return self.process.returncode


def tiny_models():
    return sorted((ROOT / "tests/golden").glob("tiny-*/model.gguf"))


@pytest.fixture(scope="session")
def millrace():
    assert MILLRACE.exists(), "build first: ./check build"
    return MILLRACE


@pytest.fixture(scope="session")
def default_model(millrace):
    """Path of the default model's file in the store."""
    listed = subprocess.run([millrace, "list"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"^smollm2 .* (\S+)$", listed, re.M)
    assert found, "the default model is not in the store: tools/fetch_default_model build/release/bin/millrace"
    return found[1]


@pytest.fixture(scope="session")
def smollm2(request):
    """The same, or the file that plays it under an engine that is slow on this machine."""
    return request.getfixturevalue("default_model") if ENGINE == "cpu" else str(tiny_models()[0])


@pytest.fixture(scope="session")
def server(millrace, smollm2, tmp_path_factory):
    env = {}
    if ENGINE != "cpu":
        env["MILLRACE_HOME"] = str(tmp_path_factory.mktemp("store"))
        subprocess.run([millrace, "add", smollm2, "--alias", "smollm2"], check=True, capture_output=True, env={**os.environ, **env})
    running = Server("smollm2", env=env)
    yield running
    assert running.stop() == 0, running.log


@pytest.fixture
def tiny(millrace):
    """A server of a tiny random model, for tests that kill, stall or flood."""
    running = Server(tiny_models()[0])
    yield running
    running.stop()


@pytest.fixture
def run(millrace):
    def call(*arguments, stdin=None, env=None, timeout=60):
        return subprocess.run([millrace, *map(str, arguments)], capture_output=True, text=True, input=stdin, timeout=timeout,
                              env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL if stdin is None else None)
    return call
