"""The tokenizer against the package `tokenizers` on generated strings that hold every assigned code point. compare_tokenizers does the
same with more strings, and with llama.cpp, on demand."""
import json
import subprocess
import sys

from conftest import BIN, ROOT

STRINGS = 20_000


def test_exact_against_python(smollm2):
    done = subprocess.run([sys.executable, ROOT / "tests/text/compare_tokenizers", smollm2, "--encoder", BIN / "text_encode", "--strings",
                           str(STRINGS), "--no-rival", "--venv", sys.prefix], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["strings"] == STRINGS and report["python"] == 0
