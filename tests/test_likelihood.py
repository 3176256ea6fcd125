"""Mean negative log-likelihood of public-domain text under the default model: our float path against an independent numpy forward pass over
the dequantised weights, and our fast path against the float path. MILLRACE_LIKELIHOOD_TOKENS=16384 runs the long version."""
import json
import os
import subprocess

import pytest

from conftest import BIN, ROOT

WINDOW = 1024
TOKENS = int(os.environ.get("MILLRACE_LIKELIHOOD_TOKENS", 2048))


@pytest.fixture(scope="module")
def token_file(millrace, smollm2, tmp_path_factory):
    text = (ROOT / "tests/data/public_domain.txt").read_text()
    done = subprocess.run([millrace, "tokenize", smollm2, "--json"], input=text, capture_output=True, text=True, check=True)
    tokens = json.loads(done.stdout)["tokens"]
    assert len(tokens) >= TOKENS, len(tokens)
    path = tmp_path_factory.mktemp("likelihood") / "tokens.json"
    path.write_text(json.dumps(tokens[:TOKENS]))
    return path


def ours(smollm2, *arguments):
    """`bench quality` takes the same text, compiled in, and the same tokens of it."""
    command = [BIN / "millrace", "bench", "quality", smollm2, "--tokens", str(TOKENS), "--window", str(WINDOW), "--json", *arguments]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def test_float_path_agrees_with_numpy_and_fast_path_stays_close(smollm2, token_file):
    done = subprocess.run([BIN.parents[2] / "build/venv/bin/python", ROOT / "tools/reference_nll", smollm2, token_file, "--window", str(WINDOW)],
                          capture_output=True, text=True, check=True)
    numpy, float_path, fast = json.loads(done.stdout), ours(smollm2, "--reference"), ours(smollm2)
    print(f"nll over {numpy['tokens']} tokens: numpy {numpy['nll']:.6f}, float path {float_path['nll']:.6f}, fast path {fast['nll']:.6f}")
    assert numpy["tokens"] == float_path["tokens"] == fast["tokens"] == TOKENS - -(-TOKENS // WINDOW)
    assert abs(float_path["nll"] - numpy["nll"]) <= 1e-4
    assert abs(fast["nll"] / float_path["nll"] - 1) <= 0.003
