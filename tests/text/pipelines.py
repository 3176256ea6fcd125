"""The steps that the authors of each vocabulary publish in their tokenizer.json, as JSON, and tokenizer.json files put together from
them and the tokens of a GGUF file, of a tiktoken file, or of a SentencePiece model."""
import base64
import json

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN35 = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CASED_LETTERS = ("A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-"
                 "\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-"
                 "\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45"
                 "\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-"
                 "\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128"
                 "\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2"
                 "\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a"
                 "\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2"
                 "\U000118a0-\U000118df\U0001e900-\U0001e943")


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def digits(individual):
    return {"type": "Digits", "individual_digits": individual}


def byte_level(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


NFC = {"type": "NFC"}
BYTE_LEVEL_DECODER = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
GPT2 = byte_level(True)
DIGITS_GPT2 = sequence(digits(True), byte_level(True))
DEEPSEEK_CJK = split("[一-龥ࠀ-一가-퟿]+")

# Byte-level BPE by the name of the GGUF file: normalizer, pre-tokenizer, whether whole words come first.
BYTE_LEVEL = {
    "aquila": (None, GPT2, False),
    "command-r": (NFC, DIGITS_GPT2, False),
    "deepseek-coder": (None, sequence(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), DEEPSEEK_CJK, digits(True),
                                      byte_level(False)), False),
    "deepseek-llm": (None, sequence(split("[\r\n]"), split(rf"\s?[{CASED_LETTERS}]+"), split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
                                    split(r"\s+$"), DEEPSEEK_CJK, digits(True), byte_level(False)), False),
    "falcon": (None, sequence({"type": "Punctuation", "behavior": "Contiguous"}, byte_level(True), digits(False),
                              split("[0-9][0-9][0-9]")), False),
    "gpt-2": (None, GPT2, False),
    "gpt-neox": (NFC, GPT2, False),
    "llama-bpe": (None, sequence(split(LLAMA3), byte_level(False)), True),
    "mpt": (NFC, GPT2, False),
    "qwen2": (NFC, sequence(split(QWEN2), byte_level(False)), False),
    "qwen35": (NFC, sequence(split(QWEN35), byte_level(False)), False),
    "refact": (None, DIGITS_GPT2, False),
    "smollm": (None, DIGITS_GPT2, False),
    "starcoder": (None, DIGITS_GPT2, False),
}


def added_token(i, text, special, **flags):
    return {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special,
            **flags}


def is_padding(i, text):
    """Rows of the embedding that the authors gave no token; converters write this name, some of them as a user-defined token."""
    return text == f"[PAD{i}]"


def added_tokens(fields):
    """Control and user-defined tokens as the authors add them."""
    return [added_token(i, text, kind != USER_DEFINED)
            for i, (text, kind) in enumerate(zip(fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]))
            if kind in (CONTROL, UNKNOWN, USER_DEFINED) and not is_padding(i, text)]


def phi3_added_tokens(added):
    """Phi-3's take the white space on their right along, but for these three."""
    return [{**token, "rstrip": token["content"] not in ("<unk>", "<s>", "<|endoftext|>")} for token in added]


def bpe_model(vocab, merges, **flags):
    return {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, **flags, "vocab": vocab, "merges": merges}


def tokenizer_json(model, added, normalizer=None, pre_tokenizer=None, decoder=None, post_processor=None):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": decoder, "model": model}


def vocab_of(fields):
    """Texts of the model's own tokens. Unused rows have none."""
    return {text: i for i, (text, kind) in enumerate(zip(fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]))
            if kind != UNUSED and not is_padding(i, text)}


def byte_level_json(name, fields):
    normalizer, pre_tokenizer, whole_words_first = BYTE_LEVEL[name]
    merges = [merge.split(" ") for merge in fields["tokenizer.ggml.merges"]]
    return tokenizer_json(bpe_model(vocab_of(fields), merges, ignore_merges=whole_words_first), added_tokens(fields), normalizer,
                          pre_tokenizer, BYTE_LEVEL_DECODER)


def gemma4_json(fields):
    merges = []
    for merge in fields["tokenizer.ggml.merges"]:
        cut = merge.index(" ", 1)
        merges.append([merge[:cut], merge[cut + 1:]])
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    decoder = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                                                {"type": "ByteFallback"}, {"type": "Fuse"}]}
    pre_tokenizer = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    return tokenizer_json(bpe_model(vocab_of(fields), merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True), added_tokens(fields),
                          space, pre_tokenizer, decoder)


def bert_json(fields):
    """GGUF files write "▁" in front of tokens that begin a word and drop the "##" of others."""
    vocab = {}
    for i, (text, kind) in enumerate(zip(fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"])):
        vocab[text if kind == CONTROL else text[1:] if text.startswith("▁") else "##" + text] = i
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab}
    normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
    return tokenizer_json(model, added_tokens(fields), normalizer, {"type": "BertPreTokenizer"},
                          {"type": "WordPiece", "prefix": "##", "cleanup": True})


GPT2_BYTES = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTE_LETTERS = {byte: chr(byte) for byte in GPT2_BYTES} | {
    byte: chr(256 + i) for i, byte in enumerate(byte for byte in range(256) if byte not in GPT2_BYTES)}


def letters(raw):
    return "".join(BYTE_LETTERS[byte] for byte in raw)


def merge_of(token, ranks):
    """The two parts that byte pair encoding joins last to make `token`; None where it does not make it."""
    parts, limit = [bytes([byte]) for byte in token], ranks[token]
    while len(parts) > 2:
        rank, at = min((ranks.get(parts[i] + parts[i + 1], limit), i) for i in range(len(parts) - 1))
        if rank >= limit:
            return None
        parts[at:at + 2] = [parts[at] + parts[at + 1]]
    return parts


def ranks_json(ranks, first_id, added, normalizer, pattern):
    """tiktoken's ranks: any two neighbours whose joined bytes have a rank merge, the lowest rank first; a piece that is a token is
    taken whole."""
    vocab = {letters(token): first_id + rank for token, rank in ranks.items()}
    vocab |= {token["content"]: token["id"] for token in added if token["id"] < first_id}  # `tokenizers` numbers added tokens from the end
    made = [(rank, merge_of(token, ranks)) for token, rank in ranks.items() if len(token) > 1]
    merges = [[letters(part) for part in parts] for _, parts in sorted(row for row in made if row[1] is not None)]
    return tokenizer_json(bpe_model(vocab, merges, ignore_merges=True), added, normalizer, sequence(split(pattern), byte_level(False)),
                          BYTE_LEVEL_DECODER)


def sentencepiece_fields(proto):
    """A BPE model of SentencePiece as GGUF metadata."""
    out = {"general.architecture": "llama", "tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "default",
           "tokenizer.ggml.tokens": [piece.piece for piece in proto.pieces], "tokenizer.ggml.scores": [piece.score for piece in proto.pieces],
           "tokenizer.ggml.token_type": [piece.type for piece in proto.pieces]}
    for name, value in (("bos", proto.trainer_spec.bos_id), ("eos", proto.trainer_spec.eos_id), ("unknown", proto.trainer_spec.unk_id)):
        if value >= 0:
            out[f"tokenizer.ggml.{name}_token_id"] = value
    return {**out, "tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.add_space_prefix": proto.normalizer_spec.add_dummy_prefix,
            "tokenizer.ggml.remove_extra_whitespaces": proto.normalizer_spec.remove_extra_whitespaces}


def sentencepiece_json(proto):
    """A BPE model of SentencePiece as transformers converts it: a merge for each way to make a piece of two, best score first."""
    vocab = {piece.piece: i for i, piece in enumerate(proto.pieces)}
    merges = []
    for piece in proto.pieces:
        text = piece.piece
        ways = [(text[:i], text[i:]) for i in range(1, len(text)) if text[:i] in vocab and text[i:] in vocab]
        merges += [(-piece.score, [left, right]) for left, right in sorted(ways, key=lambda way: (vocab[way[0]], vocab[way[1]]))]
    merges.sort(key=lambda row: row[0])
    added = [added_token(i, piece.piece, piece.type != USER_DEFINED) for i, piece in enumerate(proto.pieces)
             if piece.type in (UNKNOWN, CONTROL, USER_DEFINED)]
    steps = [{"type": "Prepend", "prepend": "▁"}] if proto.normalizer_spec.add_dummy_prefix else []
    steps.append({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})
    decoders = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    if proto.normalizer_spec.add_dummy_prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    model = bpe_model(vocab, [parts for _, parts in merges], unk_token=proto.pieces[proto.trainer_spec.unk_id].piece, fuse_unk=True,
                      byte_fallback=True)
    return tokenizer_json(model, added, {"type": "Sequence", "normalizers": steps}, None, {"type": "Sequence", "decoders": decoders})


def unigram_json(proto):
    """A unigram model of SentencePiece as transformers converts it."""
    steps = [{"type": "Precompiled", "precompiled_charsmap": base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()},
             {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    model = {"type": "Unigram", "unk_id": proto.trainer_spec.unk_id, "vocab": [[piece.piece, piece.score] for piece in proto.pieces],
             "byte_fallback": proto.trainer_spec.byte_fallback}
    added = [added_token(i, piece.piece, True) for i, piece in enumerate(proto.pieces) if piece.type in (UNKNOWN, CONTROL)]
    return tokenizer_json(model, added, {"type": "Sequence", "normalizers": steps}, metaspace, metaspace)


def write(path, root):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(root, ensure_ascii=False), encoding="utf-8")
