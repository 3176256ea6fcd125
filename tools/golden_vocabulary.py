"""The byte-level vocabulary of the golden models, as GGUF metadata and as the text files of a directory."""

import collections

import gguf_numpy as gguf

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a small mill.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

MERGE_TEXT = """The mill stands where the river bends. All day the water turns the wheel, and the wheel turns the stone, and the stone
grinds the grain that the farmers bring. When the river is low the wheel turns slowly; when the river is high it turns fast. No mill
grinds faster than its water allows. The miller knows this, and he measures the water before he promises the flour. He says: tell me
how much water there is, and I will tell you how much flour there will be. Then he opens the gate, and the stones begin to sing."""


def byte_alphabet():
    """Byte -> the code point that stands for it in token texts (GPT-2): itself where it can be seen, else one above 255."""
    visible = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    hidden = [byte for byte in range(256) if byte not in visible]
    return {**{byte: chr(byte) for byte in visible}, **{byte: chr(256 + i) for i, byte in enumerate(hidden)}}


def train_merges(count):
    """The `count` most frequent pairs of MERGE_TEXT, one after the other; among equals the first in order of text."""
    alphabet = byte_alphabet()
    words = collections.Counter(MERGE_TEXT.replace("\n", " ").replace(" ", "\0 ").split("\0"))
    spelled = [([alphabet[byte] for byte in word.encode()], number) for word, number in words.items()]
    merges = []
    while len(merges) < count:
        pairs = collections.Counter()
        for symbols, number in spelled:
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += number
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append((left, right))
        for symbols, _ in spelled:
            i = 0
            while i + 1 < len(symbols):
                if (symbols[i], symbols[i + 1]) == (left, right):
                    symbols[i : i + 2] = [left + right]
                i += 1
    return merges


def tokens_and_merges(vocab):
    letters = [byte_alphabet()[byte] for byte in range(256)]
    merges = train_merges(vocab - len(SPECIAL) - len(letters))
    tokens = SPECIAL + letters + [left + right for left, right in merges]
    assert len(tokens) == vocab == len(set(tokens))
    return tokens, merges


def add_vocabulary(file, vocab):
    tokens, merges = tokens_and_merges(vocab)
    file.add("tokenizer.ggml.model", gguf.STRING, "gpt2")
    file.add("tokenizer.ggml.pre", gguf.STRING, "smollm")
    file.add_array("tokenizer.ggml.tokens", gguf.STRING, tokens)
    file.add_array("tokenizer.ggml.token_type", gguf.INT32, [3] * len(SPECIAL) + [1] * (vocab - len(SPECIAL)))
    file.add_array("tokenizer.ggml.merges", gguf.STRING, [f"{left} {right}" for left, right in merges])
    for key, token in (("bos", 1), ("eos", 2), ("unknown", 0), ("padding", 2)):
        file.add(f"tokenizer.ggml.{key}_token_id", gguf.UINT32, token)
    file.add("tokenizer.ggml.add_bos_token", gguf.BOOL, False)
    file.add("tokenizer.ggml.add_space_prefix", gguf.BOOL, False)
    file.add("tokenizer.chat_template", gguf.STRING, CHAT_TEMPLATE)


def vocabulary_files(vocab):
    """File name -> JSON. The same pre-tokenizer as "smollm" of GGUF: single digits, then GPT-2's pattern."""
    tokens, merges = tokens_and_merges(vocab)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": text} | flags for i, text in enumerate(SPECIAL)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {text: i for i, text in enumerate(tokens)}, "merges": [list(pair) for pair in merges]},
    }  # fmt: skip
    config = {
        "add_bos_token": False, "add_prefix_space": False, "bos_token": SPECIAL[1], "eos_token": SPECIAL[2], "unk_token": SPECIAL[0],
        "pad_token": SPECIAL[2], "chat_template": CHAT_TEMPLATE, "model_max_length": 1024, "tokenizer_class": "GPT2Tokenizer",
    }  # fmt: skip
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": config}
