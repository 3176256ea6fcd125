"""tokenizer.json files of every combination of components in use, made with the package `tokenizers` on a small text: the families that real
models come from, and each component by itself where it can be seen at work."""
import dataclasses
import itertools
import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import compiled_rules
import pipelines

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CONTROL = ["<unk>", "<s>", "</s>", "[CLS]", "[SEP]", "[MASK]"]
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?"
         r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"
         r"\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^" "\r\n" r"\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[" "\r\n" r"]*|\s*["
             "\r\n" r"]+|\s+(?!\S)|\s+")
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
RULES = {"ﬁ".encode(): "fi", "½".encode(): "1/2", "e\u0301".encode(): "é", "\u3000".encode(): " ", "\u00a0".encode(): " ", "\t".encode(): " ", "\u0301".encode(): "",
         "１".encode(): "1", "🙂".encode(): ":)", "가".encode(): "ka", "e".encode(): "e"}
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]


@dataclasses.dataclass
class Kind:
    name: str
    model: str
    normalizer: object = None
    pre_tokenizer: object = None
    decoder: object = None
    processor: object = None
    prefix: tuple = ()  # texts of the tokens that the post-processor puts in front
    suffix: tuple = ()
    added: str = "plain"


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def byte_level(prefix=False, regex=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)


def in_order(*steps):
    return pre_tokenizers.Sequence(list(steps))


def template(prefix, suffix, first_byte_level=False):
    single = [*prefix, "$A", *suffix]
    step = processors.TemplateProcessing(single=" ".join(single), special_tokens=[(token, CONTROL.index(token)) for token in {*prefix, *suffix}])
    return processors.Sequence([processors.ByteLevel(trim_offsets=False), step]) if first_byte_level else step


NORMALIZERS = {
    "none": None,
    "nfc": normalizers.NFC(),
    "nfd": normalizers.NFD(),
    "nfkc": normalizers.NFKC(),
    "nfkd": normalizers.NFKD(),
    "lowercase": normalizers.Lowercase(),
    "nfd-strip-accents": normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]),
    "nfkc-lowercase": normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]),
    "strip-accents": normalizers.StripAccents(),
    "strip": normalizers.Strip(),
    "strip-left": normalizers.Strip(left=True, right=False),
    "replace": normalizers.Replace("th", "Þ"),
    "replace-runs": normalizers.Replace(Regex(r"\s+"), " "),
    "replace-spaces": normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]),
    "replace-quotes": normalizers.Sequence([normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(),
                                            normalizers.StripAccents(), normalizers.Lowercase()]),
    "prepend": normalizers.Prepend("▁"),
    "llama": normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
    "gemma": normalizers.Replace(" ", "▁"),
    "nmt": normalizers.Nmt(),
    "rules": normalizers.Precompiled(compiled_rules.compiled_rules(RULES)),
    "rules-spaces": normalizers.Sequence([normalizers.Precompiled(compiled_rules.compiled_rules(RULES)), normalizers.Replace(Regex(" {2,}"), " ")]),
    "bert": normalizers.BertNormalizer(),
    "bert-cased": normalizers.BertNormalizer(lowercase=False),
    "bert-accents": normalizers.BertNormalizer(strip_accents=False),
    "bert-strip-only": normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False),
    "bert-clean-only": normalizers.BertNormalizer(handle_chinese_chars=False, strip_accents=False, lowercase=False),
}
BYTE_LEVEL = {
    "gpt2": byte_level(regex=True),
    "gpt2-prefix": byte_level(prefix=True, regex=True),
    "bytes": byte_level(),
    "bytes-prefix": byte_level(prefix=True),
    "starcoder": in_order(pre_tokenizers.Digits(individual_digits=True), byte_level(regex=True)),
    "digits-runs": in_order(pre_tokenizers.Digits(), byte_level(regex=True)),
    "llama3": in_order(split(pipelines.LLAMA3), byte_level()),
    "qwen2": in_order(split(pipelines.QWEN2), byte_level()),
    "qwen35": in_order(split(pipelines.QWEN35), byte_level()),
    "o200k": in_order(split(O200K), byte_level()),
    "tekken": in_order(split(TEKKEN), byte_level()),
    "deepseek3": in_order(split(r"\p{N}{1,3}"), split("[一-龥\u3040-ゟ゠-ヿ]+"), split(DEEPSEEK3), byte_level()),
    "deepseek-coder": in_order(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[一-龥ࠀ-一가-퟿]+"),
                               pre_tokenizers.Digits(individual_digits=True), byte_level()),
    "falcon": in_order(pre_tokenizers.Punctuation("contiguous"), byte_level(regex=True), pre_tokenizers.Digits(), split("[0-9][0-9][0-9]")),
    "bloom": in_order(split(r" ?[^(\s|[.,!?…。，、।۔،])]+"), byte_level()),
    "whitespace-bytes": in_order(pre_tokenizers.WhitespaceSplit(), byte_level(prefix=True)),
}
METASPACE = {f"metaspace-{scheme}{'' if cut else '-whole'}": pre_tokenizers.Metaspace(prepend_scheme=scheme, split=cut)
             for scheme in ("always", "first", "never") for cut in (True, False)}
METASPACE["xlm-r"] = in_order(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always"))
WORDS = {
    "whitespace": pre_tokenizers.Whitespace(),
    "whitespace-split": pre_tokenizers.WhitespaceSplit(),
    "bert": pre_tokenizers.BertPreTokenizer(),
    "digits-one": pre_tokenizers.Digits(individual_digits=True),
    "digits-run": pre_tokenizers.Digits(),
    "delimiter": pre_tokenizers.CharDelimiterSplit("e"),
    "words-digits": in_order(pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)),
    **{f"punctuation-{behavior}": pre_tokenizers.Punctuation(behavior) for behavior in BEHAVIORS},
    **{f"split-{behavior}{'-inverted' if invert else ''}": split(r"\w+", behavior, invert) for behavior in BEHAVIORS for invert in (False, True)},
    **{f"split-text-{behavior}": pre_tokenizers.Split(" ", behavior) for behavior in BEHAVIORS},
}
LLAMA_DECODER = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
GEMMA_DECODER = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
BPE_MODELS = {
    "bpe-bytes": {},
    "bpe-bytes-whole": {"ignore_merges": True},
    "bpe-fallback": {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True},
    "bpe-fused": {"unk_token": "<unk>", "fuse_unk": True},
    "bpe-unknown": {"unk_token": "<unk>"},
    "bpe-dropped": {},
    "bpe-suffix": {"unk_token": "<unk>", "end_of_word_suffix": "</w>"},
    "bpe-prefix": {"unk_token": "<unk>", "continuing_subword_prefix": "##"},
}
BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]


def kinds():
    """Every combination; names say what is in them."""
    out = []
    for (normalizer, pre), model in itertools.product(itertools.product(["none", "nfc", "nfkc-lowercase"], BYTE_LEVEL), ["bpe-bytes", "bpe-bytes-whole"]):
        out.append(Kind(f"{model}/{normalizer}/{pre}", model, NORMALIZERS[normalizer], BYTE_LEVEL[pre], decoders.ByteLevel()))
    for post, arguments in {"byte-level": (processors.ByteLevel(trim_offsets=True), (), ()), "bos": (template(["<s>"], []), ("<s>",), ()),
                            "llama3": (template(["<s>"], [], True), ("<s>",), ()), "eos": (template([], ["</s>"]), (), ("</s>",)),
                            "roberta": (processors.RobertaProcessing(("</s>", 2), ("<s>", 1)), ("<s>",), ("</s>",))}.items():
        out.append(Kind(f"bpe-bytes/none/gpt2/{post}", "bpe-bytes", None, BYTE_LEVEL["gpt2"], decoders.ByteLevel(), *arguments))
    for normalizer, pre in itertools.product(["llama", "gemma", "none"], ["none", "merged", *METASPACE]):
        step = METASPACE.get(pre) or {"none": None, "merged": pre_tokenizers.Split(" ", "merged_with_previous")}[pre]
        for model in ("bpe-fallback", "bpe-fused", "bpe-unknown", "bpe-dropped"):
            decoder = {"llama": LLAMA_DECODER, "gemma": GEMMA_DECODER}.get(normalizer) or decoders.Metaspace(prepend_scheme="first")
            out.append(Kind(f"{model}/{normalizer}/{pre}", model, NORMALIZERS[normalizer], step, decoder, template(["<s>"], []), ("<s>",)))
    for normalizer, pre in itertools.product(["none", "bert", "bert-cased", "bert-accents", "lowercase", "nfd-strip-accents"],
                                             ["bert", "whitespace", "whitespace-split", "punctuation-isolated"]):
        bert = processors.BertProcessing(("[SEP]", 4), ("[CLS]", 3)) if pre == "bert" else template(["[CLS]"], ["[SEP]"])
        out.append(Kind(f"wordpiece/{normalizer}/{pre}", "wordpiece", NORMALIZERS[normalizer], WORDS[pre],
                        decoders.WordPiece(cleanup=normalizer != "bert-cased"), bert, ("[CLS]",), ("[SEP]",)))
    for normalizer, pre in itertools.product(["none", "nfkc", "rules-spaces", "replace-spaces", "replace-quotes", "strip"], ["none", "whitespace-split", *METASPACE]):
        step = METASPACE.get(pre) or WORDS.get(pre)
        for model in ("unigram", "unigram-bytes"):
            scheme = "never" if "never" in pre else "always"
            out.append(Kind(f"{model}/{normalizer}/{pre}", model, NORMALIZERS[normalizer], step, decoders.Metaspace(prepend_scheme=scheme),
                            template(["<s>"], ["</s>"]), ("<s>",), ("</s>",)))
    for normalizer, pre in itertools.product(["none", "lowercase"], ["whitespace", "whitespace-split", "bert"]):
        out.append(Kind(f"bpe-suffix/{normalizer}/{pre}", "bpe-suffix", NORMALIZERS[normalizer], WORDS[pre], decoders.BPEDecoder("</w>")))
        out.append(Kind(f"bpe-prefix/{normalizer}/{pre}", "bpe-prefix", NORMALIZERS[normalizer], WORDS[pre], decoders.WordPiece()))
    clip = in_order(split(CLIP, "removed", True), byte_level())
    clip_normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    out.append(Kind("bpe-suffix/clip", "bpe-suffix", clip_normalizer, clip, decoders.ByteLevel()))
    out += [Kind(f"wordlevel/{normalizer}/whitespace-split", "wordlevel", step, WORDS["whitespace-split"]) for normalizer, step in NORMALIZERS.items() if step]
    out += [Kind(f"wordlevel/none/{pre}", "wordlevel", None, step) for pre, step in WORDS.items()]
    out += [Kind(f"bpe-unknown/none/{pre}", "bpe-unknown", None, step, decoders.Fuse()) for pre, step in WORDS.items()]
    for added in ADDED:
        for model, normalizer, pre, decoder in (("bpe-bytes", "nfkc-lowercase", BYTE_LEVEL["gpt2"], decoders.ByteLevel()),
                                                ("bpe-fallback", "llama", None, LLAMA_DECODER),
                                                ("bpe-fallback", "none", METASPACE["metaspace-first"], decoders.Metaspace(prepend_scheme="first")),
                                                ("unigram", "nfkc", METASPACE["metaspace-always"], decoders.Metaspace()),
                                                ("wordpiece", "bert", WORDS["bert"], decoders.WordPiece())):
            out.append(Kind(f"added-{added}/{model}/{normalizer}", model, NORMALIZERS[normalizer], pre, decoder, added=added))
    return out


ADDED = {
    "plain": [AddedToken("<tool>", special=False, normalized=False), AddedToken("<|end|>", special=True, normalized=False)],
    "normalized": [AddedToken("<TOOL>", special=False, normalized=True), AddedToken("the the", special=False, normalized=True),
                   AddedToken("<|End|>", special=True, normalized=True), AddedToken("É", special=False, normalized=True)],
    "lstrip": [AddedToken("<tool>", special=False, normalized=False, lstrip=True), AddedToken("<|end|>", special=True, normalized=False, lstrip=True)],
    "rstrip": [AddedToken("<tool>", special=False, normalized=False, rstrip=True), AddedToken("<|end|>", special=True, normalized=False, rstrip=True)],
    "both": [AddedToken("<tool>", special=False, normalized=True, lstrip=True, rstrip=True), AddedToken("  ", special=False, normalized=False)],
    "single": [AddedToken("end", special=False, normalized=False, single_word=True), AddedToken("<|end|>", special=True, normalized=False, single_word=True),
               AddedToken("any", special=False, normalized=True, single_word=True)],
    "overlapping": [AddedToken(text, special=False, normalized=False) for text in ("ab", "abc", "bc", "<a", "<a>", "a>b", "aa", "aaa")],
}


def training_text():
    text = (ROOT / "tests/data/public_domain.txt").read_text(encoding="utf-8")
    return [line for line in text[:60_000].splitlines(keepends=True) if line.strip()] + ["naïve café Ångström 北京 日本語 한국어 ﬁ ½ １２３ 🙂🙃 e\u0301 the the"] * 3


def trained(kind, lines=None, size=600):
    """The tokenizer of a kind, of about `size` tokens. The base vocabulary lacks most of Unicode, and of its bytes where bytes fall back, so unknown ones are met."""
    if kind.model == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>", max_input_chars_per_word=40))
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=CONTROL, show_progress=False)
    elif kind.model == "wordlevel":
        tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
        trainer = trainers.WordLevelTrainer(vocab_size=3 * size, special_tokens=CONTROL, show_progress=False)
    elif kind.model.startswith("unigram"):
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(vocab_size=size // 2, special_tokens=CONTROL, unk_token="<unk>", show_progress=False)
    else:
        tokenizer = Tokenizer(models.BPE(**BPE_MODELS[kind.model]))
        bytes_only = kind.model.startswith("bpe-bytes")
        extra = BYTE_TOKENS if kind.model == "bpe-fallback" else []
        marks = {key: BPE_MODELS[kind.model][key] for key in ("end_of_word_suffix", "continuing_subword_prefix") if key in BPE_MODELS[kind.model]}
        trainer = trainers.BpeTrainer(vocab_size=size + len(extra), special_tokens=[*CONTROL, *extra], show_progress=False, **marks,
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if bytes_only else [])
    if kind.normalizer is not None:
        tokenizer.normalizer = kind.normalizer
    if kind.pre_tokenizer is not None:
        tokenizer.pre_tokenizer = kind.pre_tokenizer
    lines = lines or training_text()
    tokenizer.train_from_iterator(lines[-40:] if kind.model.startswith("unigram") else lines, trainer)  # its training is slow
    return tokenizer


def root_of(kind, lines=None, size=600):
    """tokenizer.json as a tree."""
    root = json.loads(trained(kind, lines, size).to_str())
    if kind.model == "bpe-fallback":  # byte tokens are the model's own, not added ones
        root["added_tokens"] = [token for token in root["added_tokens"] if token["content"] not in BYTE_TOKENS]
    if kind.model == "unigram-bytes":
        root["model"]["vocab"] += [[text, -20.0] for text in BYTE_TOKENS]
        root["model"]["byte_fallback"] = True
    return root


def build(kind, lines=None, size=600):
    tokenizer = Tokenizer.from_str(json.dumps(root_of(kind, lines, size)))
    if kind.decoder is not None:
        tokenizer.decoder = kind.decoder
    if kind.processor is not None:
        tokenizer.post_processor = kind.processor
    for token in ADDED[kind.added]:
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    return tokenizer
