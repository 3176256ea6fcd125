"""What tests/text/components cannot make: both ways to write merges, embeddings with more rows than there are tokens, and what is refused, by
its name and place."""
import json
import subprocess

import pytest
from tokenizers import decoders, normalizers, pre_tokenizers

import component_kinds
from conftest import MILLRACE

TEXTS = ["", " ", "Hello world! It's  2024.", "a\t\tb  \r\n c", "<|end|>x<tool>", "naïve café 北京 🙂🙃", "x²½Ⅷ٣ 12345678"]
KIND = next(kind for kind in component_kinds.kinds() if kind.name == "bpe-bytes/none/llama3")


def tokenize(path, *arguments, texts=()):
    return subprocess.run([MILLRACE, "tokenize", path, "--bare", "--special", "--lines", "--json", *arguments], capture_output=True, text=True, timeout=60,
                          input="".join(json.dumps(text) + "\n" for text in texts))


def ids_of(path, texts):
    done = tokenize(path, texts=texts)
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["tokens"] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("merges_as_text", [False, True])
def test_exact(tmp_path, merges_as_text):
    tokenizer = component_kinds.build(KIND)
    root = json.loads(tokenizer.to_str())
    if merges_as_text:
        root["model"]["merges"] = [" ".join(merge) for merge in root["model"]["merges"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(root))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": tokenizer.get_vocab_size() + 5}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>"}))
    right = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    assert ids_of(tmp_path, TEXTS) == ids_of(tmp_path / "tokenizer.json", TEXTS) == right


REFUSED = {
    "UnicodeScripts": ("pre_tokenizer", pre_tokenizers.UnicodeScripts()),
    "(?<year>": ("pre_tokenizer", pre_tokenizers.Sequence([component_kinds.split(r"(?<year>\d{4})"), component_kinds.byte_level()])),
    "CTC": ("decoder", decoders.CTC()),
    "ByteLevel": ("normalizer", normalizers.ByteLevel()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_it_cannot_do(tmp_path, name):
    tokenizer = component_kinds.build(KIND)
    setattr(tokenizer, *REFUSED[name])
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_str())
    done = tokenize(path)
    assert done.returncode == 4 and name in done.stderr and str(tmp_path) in done.stderr


def test_lines(tmp_path):
    """Bulk: objects say how to read each text; a bad line is named; and back."""
    path = tmp_path / "tokenizer.json"
    path.write_text(component_kinds.build(KIND).to_str())
    plain, special = ids_of(path, [{"content": "a<|end|>", "parse_special": False}, "a<|end|>"])
    assert len(special) == 2 < len(plain)
    done = tokenize(path, "--decode", texts=[special, plain])
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["a<|end|>"] * 2
    row = json.loads(tokenize(path, "--pieces", texts=["a🙂"]).stdout)
    assert row["count"] == len(row["tokens"]) == len(row["pieces"]) and b"".join(bytes(p) if isinstance(p, list) else p.encode() for p in row["pieces"]).decode() == "a🙂"
    for texts, why in ((["a", 7], "line 2"), ([{"text": "a"}], "'content'")):
        done = tokenize(path, texts=texts)
        assert done.returncode == 2 and why in done.stderr
    assert tokenize(path, "--decode", texts=[[1 << 40]]).returncode == 2
