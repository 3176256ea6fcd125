"""The default model's tokenizer against the package `tokenizers` on generated strings that hold every assigned code point. tests/text/vocabularies
does the same for real vocabularies of every kind, with more strings and with llama.cpp beside, on demand."""
import json
import subprocess
import sys

from conftest import MILLRACE, ROOT

STRINGS = 20_000


def test_exact_against_python(smollm2, tmp_path):
    done = subprocess.run([sys.executable, ROOT / "tests/text/vocabularies", "--vocabulary", smollm2, "--program", MILLRACE, "--strings", str(STRINGS),
                           "--no-rival", "--venv", sys.prefix, "--folder", tmp_path, "--jobs", "1"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["strings"] == STRINGS and report["differences"] == report["decode_differences"] == 0
