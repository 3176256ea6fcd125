"""Tokenizers from tokenizer.json against the package `tokenizers` itself: small vocabularies of the combinations of components that files have
(tests/text/components has them all, on demand), the forms of older files, and what is written from what was read."""
import json
import pathlib
import random
import subprocess
import sys

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from conftest import BIN, MILLRACE, ROOT

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import component_kinds  # noqa: E402

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
ALL = component_kinds.kinds()
SOME = ALL[::23] + [kind for kind in ALL if kind.name.startswith("added-")][::6]


def texts():
    out = ["", " ", "\n\n", "Hello world! It's  2024.", "a\t\tb  \r\n c", "'LL 'll", "x²½Ⅷ٣ 12345678", "<|im_start|>user\nHi<|im_end|>",
           "a<tool>b <tool>", "naïve café 北京 🙂🙃", "\u017f's", "a\u00a0b\u3000c", "the the", "<s>the", "x" * 130, "##the", "▁the"]  # fmt: skip
    draw = random.Random(7)
    letters = ["a", "e", "the", " ", "  ", "\n", "7", "42", "'s", "é", "北", "🙂", ".", "!", "\t", "<tool>", "<|im_end|>", "\u0301", "▁", "<0x41>"]
    return out + ["".join(draw.choices(letters, k=draw.randint(1, 30))) for _ in range(80)]


def ask(model, lines, *arguments):
    done = subprocess.run([MILLRACE, "tokenize", model, "--lines", "--json", *arguments], capture_output=True, text=True, timeout=60, encoding="utf-8",
                          input="".join(json.dumps(line) + "\n" for line in lines))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def encode(model, strings, parse_special=True):
    return [row["tokens"] for row in ask(model, [{"content": text, "parse_special": parse_special, "add_special": False} for text in strings])]


def refusal(model):
    done = subprocess.run([MILLRACE, "tokenize", model, "x"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    return done.stderr


def rewrite(model, folder):
    folder.mkdir()
    done = subprocess.run([BIN / "text_rewrite", model, folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=SPECIAL, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator((ROOT / "tests/data/public_domain.txt").read_text().splitlines(keepends=True), trainer)
    tokenizer.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    return tokenizer


def save(folder, root, **config):
    (folder / "tokenizer.json").write_text(json.dumps(root), encoding="utf-8")
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("kind", SOME, ids=lambda kind: kind.name)
def test_exact_and_written_as_read(tmp_path, kind):
    tokenizer = component_kinds.build(kind)
    file = tmp_path / "tokenizer.json"
    file.write_text(tokenizer.to_str(), encoding="utf-8")
    strings = texts()
    written = rewrite(file, tmp_path / "written")
    for parse_special in (False, True):
        tokenizer.encode_special_tokens = written.encode_special_tokens = not parse_special
        right = [tokenizer.encode(text, add_special_tokens=False).ids for text in strings]
        assert encode(tmp_path, strings, parse_special) == right
        assert encode(tmp_path / "written", strings, parse_special) == right
        assert [written.encode(text, add_special_tokens=False).ids for text in strings] == right
    for hidden in (False, True):
        assert written.decode_batch(right, skip_special_tokens=hidden) == tokenizer.decode_batch(right, skip_special_tokens=hidden)
    assert [written.encode(text).ids for text in strings] == [tokenizer.encode(text).ids for text in strings]


def test_merges_as_text_and_no_type(tmp_path):
    tokenizer = byte_level()
    root = json.loads(tokenizer.to_str())
    root["model"]["merges"] = [" ".join(merge) for merge in root["model"]["merges"]]
    del root["model"]["type"]
    assert encode(save(tmp_path, root), texts()) == [tokenizer.encode(text).ids for text in texts()]


def test_metaspace_of_older_files(tmp_path):
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "▁the": 1, "the": 2, "▁": 3, "▁a": 4}, unk_token="<unk>"))
    root = json.loads(tokenizer.to_str())
    root["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "str_rep": "▁", "add_prefix_space": False}
    assert "'pre_tokenizer.add_prefix_space': false" in refusal(save(tmp_path, root))  # as the package
    root["pre_tokenizer"]["prepend_scheme"] = "never"
    root["decoder"] = {"type": "Metaspace", "replacement": "▁", "str_rep": "▁", "add_prefix_space": True}
    tokenizer = Tokenizer.from_str(json.dumps(root))
    strings = ["the the", " the a", "a", "▁a  the"]
    right = [tokenizer.encode(text).ids for text in strings]
    assert encode(save(tmp_path, root), strings) == right
    assert [row["text"] for row in ask(tmp_path, right, "--decode", "--special")] == tokenizer.decode_batch(right, skip_special_tokens=False)


def test_byte_level_normalizer(tmp_path):
    tokenizer = byte_level()
    tokenizer.pre_tokenizer = None
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.ByteLevel()])
    strings = [text for text in texts() if len(text) < 40]
    assert encode(save(tmp_path, json.loads(tokenizer.to_str())), strings) == [tokenizer.encode(text).ids for text in strings]


def test_tokens_around_a_text(tmp_path):
    tokenizer = byte_level()
    tokenizer.post_processor = processors.TemplateProcessing(single="<|im_start|> $A <|im_end|>", special_tokens=[("<|im_start|>", 1), ("<|im_end|>", 2)])
    save(tmp_path, json.loads(tokenizer.to_str()), add_bos_token=False)
    rows = ask(tmp_path, [{"content": "the", "add_special": True}, {"content": "the", "add_special": False}])
    assert rows[0]["tokens"] == tokenizer.encode("the").ids == [1, *rows[1]["tokens"], 2]


def test_refuses_what_it_cannot_do(tmp_path):
    def says(change):
        root = json.loads(byte_level().to_str())
        change(root)
        return refusal(save(tmp_path, root))

    assert "'normalizer': {\"type\":\"ByteLevel\"}" in says(lambda root: root.update(normalizer={"type": "ByteLevel"}))
    assert "'pre_tokenizer'" in says(lambda root: root.update(pre_tokenizer={"type": "FixedLength", "length": 3}))
    assert "'decoder'" in says(lambda root: root.update(decoder={"type": "CTC", "pad_token": "", "word_delimiter_token": "", "cleanup": False}))
    assert "(?<" in says(lambda root: root.update(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(?<a>x)\\g<a>"}, "behavior": "Isolated", "invert": False}))
