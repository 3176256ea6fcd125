"""What `millrace tokenize` takes for a model, and what it says of files and texts that are not right."""
import json
import subprocess
import sys

import pytest
from conftest import MILLRACE, ROOT
from tokenizers import Tokenizer, decoders, models, pre_tokenizers


def tokenize(*arguments, cwd=None, stdin=b""):
    return subprocess.run([MILLRACE, "tokenize", *map(str, arguments)], input=stdin, capture_output=True, timeout=60, cwd=cwd)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("tokenizer")
    vocab = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocab | {"he": 256}, merges=[("h", "e")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(made / "tokenizer.json"))
    return made


def ids(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["tokens"]


def test_a_tokenizer_goes_by_any_name(folder, tmp_path):
    other = tmp_path / "mine.json"
    other.write_bytes((folder / "tokenizer.json").read_bytes())
    expected = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("hehe").ids
    for model in (folder, folder / "tokenizer.json", other):
        assert ids(tokenize(model, "hehe", "--json")) == expected


def test_what_lies_here_is_named(folder):
    done = tokenize(folder.name, "x", cwd=folder.parent)
    assert done.returncode == 3 and f"write ./{folder.name}".encode() in done.stderr


def test_a_damaged_file_is_no_wrong_usage(folder, tmp_path):
    text = (folder / "tokenizer.json").read_text()
    unknown = text.replace('"ByteLevel"', '"Sorcery"', 1)
    wrong_merge = text.replace('"he": 256', '"ha": 256').replace('"he":256', '"ha":256')
    for content, message in ((text[:500], b"JSON"), (unknown, b"Sorcery"), (wrong_merge, b"is no token")):
        (tmp_path / "tokenizer.json").write_text(content)
        done = tokenize(tmp_path, "x")
        assert done.returncode == 4 and message in done.stderr, done.stderr


def test_ill_formed_text_is_told(folder):
    done = tokenize(folder, stdin=b"h\xff")
    assert done.returncode == 0 and b"U+FFFD" in done.stderr


def test_pieces_that_would_not_be_shown_are_refused(folder):
    assert tokenize(folder, "h", "--pieces").returncode == 2
    assert json.loads(tokenize(folder, "he", "--json", "--pieces").stdout)["pieces"] == ["he"]


def test_warnings_keep_out_of_the_answer(tmp_path):
    sys.path.insert(0, str(ROOT / "tests/text"))
    import gguf_metadata

    tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    gguf_metadata.write(tmp_path / "old.gguf", {"general.architecture": "llama", "tokenizer.ggml.model": "gpt2",
                                                "tokenizer.ggml.tokens": [*tokens, "he"], "tokenizer.ggml.merges": ["h e"]})
    done = tokenize(tmp_path / "old.gguf", "he", "--json")
    assert ids(done) == [256] and b"tokenizer.ggml.pre" in done.stderr
