"""Tokenizers from tokenizer.json against the package `tokenizers` itself: small vocabularies, each kind of pre-tokenizer, both ways to
write merges, special tokens recognised and not."""
import json
import pathlib
import random
import struct
import subprocess

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from conftest import BIN, ROOT

GPT4_LIKE = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), behavior="isolated")


KINDS = {
    "gpt2": (byte_level(True), False),
    "digits": (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)]), False),
    "llama3": (pre_tokenizers.Sequence([split(GPT4_LIKE.replace("DIGITS", "{1,3}")), byte_level(False)]), True),
    "olmo2": (pre_tokenizers.Sequence([split(GPT4_LIKE.replace("DIGITS", "{1,3}")), byte_level(False)]), False),
    "qwen2": (pre_tokenizers.Sequence([split(GPT4_LIKE.replace("DIGITS", "")), byte_level(False)]), False),
}


def build(kind):
    pre_tokenizer, whole_words_first = KINDS[kind]
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole_words_first))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=SPECIAL, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator((ROOT / "tests/data/public_domain.txt").read_text().splitlines(keepends=True), trainer)
    tokenizer.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    return tokenizer


def texts():
    out = ["", " ", "\n\n", "Hello world! It's  2024.", "a\t\tb  \r\n c", "'LL 'll", "x²½Ⅷ٣ 12345678", "<|im_start|>user\nHi<|im_end|>",
           "a<tool>b <tool>", "naïve café 北京 🙂🙃", "\u017f's", "a\u00a0b\u3000c"]  # fmt: skip
    draw = random.Random(7)
    letters = ["a", "e", "the", " ", "  ", "\n", "7", "42", "'s", "é", "北", "🙂", ".", "!", "\t", "<tool>", "<|im_end|>", "\u0301"]
    return out + ["".join(draw.choices(letters, k=draw.randint(1, 40))) for _ in range(500)]


def write_directory(folder, tokenizer, merges_as_text, **config):
    folder.mkdir(parents=True, exist_ok=True)
    root = json.loads(tokenizer.to_str())
    if merges_as_text:
        root["model"]["merges"] = [" ".join(merge) for merge in root["model"]["merges"]]
    (folder / "tokenizer.json").write_text(json.dumps(root))
    rows = tokenizer.get_vocab_size() + 5  # as models whose embedding is padded
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": rows}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>", **config}))
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")


def encode(folder, strings, *arguments):
    data = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in strings)
    done = subprocess.run([BIN / "text_encode", folder, *arguments], input=data, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    ids, at = [], 0
    for _ in strings:
        (count,) = struct.unpack_from("<I", done.stdout, at)
        ids.append(list(struct.unpack_from(f"<{count}i", done.stdout, at + 4)))
        at += 4 + 4 * count
    return ids


@pytest.mark.parametrize("merges_as_text", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_exact(tmp_path, kind, merges_as_text):
    tokenizer = build(kind)
    write_directory(tmp_path, tokenizer, merges_as_text)
    strings = texts()
    assert encode(tmp_path, strings, "--special") == [tokenizer.encode(text).ids for text in strings]


def test_refuses_what_it_cannot_do(tmp_path):
    def refusal(change):
        tokenizer = build("gpt2")
        change(tokenizer)
        write_directory(tmp_path, tokenizer, False)
        done = subprocess.run([BIN / "text_encode", tmp_path], input=b"", capture_output=True, timeout=60)
        assert done.returncode == 1
        return done.stderr.decode()

    def set_normalizer(tokenizer):
        tokenizer.normalizer = normalizers.Lowercase()

    def set_pattern(tokenizer):
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split(r"[a-z]+"), byte_level(False)])

    def set_processor(tokenizer):
        tokenizer.post_processor = processors.TemplateProcessing(single="$A <|im_end|>", special_tokens=[("<|im_end|>", 2)])

    assert "'normalizer'" in refusal(set_normalizer) and "Lowercase" in refusal(set_normalizer)
    assert "'[a-z]+'" in refusal(set_pattern)
    assert "'post_processor.single'" in refusal(set_processor)
