"""Small tokenizer.json files against the package `tokenizers`: a sample of the combinations that tests/text/components checks in full."""
import json
import subprocess
import sys

from conftest import MILLRACE, ROOT


def test_exact_against_python():
    done = subprocess.run([sys.executable, ROOT / "tests/text/components", "--program", MILLRACE, "--sample", "9", "--strings", "60"],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["kinds"] >= 50 and report["differences"] == 0 and not report["refused"]
