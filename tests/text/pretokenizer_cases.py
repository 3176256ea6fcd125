"""Pre-tokenizer steps, in the form of tokenizer.json, that tests compare with the Python package `tokenizers`."""

SUFFIX = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
PREFIX = r"[^\r\n\p{L}\p{N}]?"
REST = r"\s*[\r\n]+|\s+(?!\S)|\s+"
NO_HAN = r"&&[^\p{Han}]]"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
DEEPSEEK = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
            "\\s*[\r\n]+|\\s+(?!\\S)|\\s+")
CJK = "[一-龥぀-ゟ゠-ヿ]+"
LATIN = (r'\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-'
         r'\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}'
         r'\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}'
         r'\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-'
         r'\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}'
         r'\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-'
         r'\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}'
         r'\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}'
         r'\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}'
         r'-\x{1E943}]+')

# Patterns of models, each cutting alone.
PATTERNS = {
    "gpt2": GPT2,
    "llama3": rf"{SUFFIX}|{PREFIX}\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{REST}",
    "qwen2": rf"{SUFFIX}|{PREFIX}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{REST}",
    "qwen3.5": rf"{SUFFIX}|{PREFIX}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{REST}",
    "minicpm5": rf"{SUFFIX}|{PREFIX}\p{{L}}+|\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{REST}",
    "no contractions": rf"{PREFIX}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{REST}",
    "cl100k": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    "bailing": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    "cl100k possessive": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    "o200k": rf"{PREFIX}{UPPER}*{LOWER}+{SUFFIX}?|{PREFIX}{UPPER}+{LOWER}*{SUFFIX}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{REST}",
    "tekken": rf"{PREFIX}{UPPER}*{LOWER}+|{PREFIX}{UPPER}+{LOWER}*|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{REST}",
    "kimi": (rf"[\p{{Han}}]+|{PREFIX}{UPPER[:-1]}{NO_HAN}*{LOWER[:-1]}{NO_HAN}+{SUFFIX}?|{PREFIX}{UPPER[:-1]}{NO_HAN}+{LOWER[:-1]}{NO_HAN}*{SUFFIX}?|"
             rf"\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{REST}"),
    "deepseek-v3": DEEPSEEK,
    "number": r"\p{N}",
    "numbers of three": r"\p{N}{1,3}",
    "numbers": r"\p{N}+",
    "cjk": CJK,
    "latin": LATIN,
    "seed-coder": rf"{SUFFIX}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{REST}",
    "jais2": (rf"{SUFFIX}|{PREFIX}\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s{{512}}(?!\S)|\s{{256}}(?!\S)|\s{{128}}(?!\S)|"
              r"\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"),
    "exaone-moe": rf"{SUFFIX}|{PREFIX}(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",
    "tiny-aya digits": r"\d{1,3}(?=(?:\d{3})*\b)",
    "superbpe digits": r"(?=(\d{3})+(?!\d))",
    "bloom": r" ?[^(\s|.,!?…。，、।۔،)]+",
    "spaces before the end of a line": r"\s+$",
    "chameleon images": "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
    "chameleon sentinels": "<sentinel:[0-9]+>",
    "chameleon punctuation": r"[\p{P}!-/:-@\[-`{-~]",
    "lines": r"[^\n]+|[\n]+",
    "not space": r"\S+",
    "youtu": "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+",
    "afmoe scripts": "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+",
}

# Syntax that no model is known to use in this way, but that a pattern may hold.
SYNTAX = [
    "", "a|", "a{,2}", "(?:ab){1,2}+", "a{1,3}+a", "a{1,3}?", "a++a|.", "a*+b", "a?+a", r"^a|a$", "^", "$", r"\Aa|\z|b\Z", ".+", r".$", r"\b", r"\B", r"\bx?",
    "(?i:'s|k)", "(?i:[^k])", "(?i:[a-z]+)", "x(?i)a|b", "(?i:a(?-i:b))", r"\h+", r"\H+", r"\p{^L}+", r"\P{^L}", r"[\p{^L}a]+", r"[^\W\d]+", r"\W+", r"\D+", r"\w\W",
    "[a-w&&[^c-g]z]+", "[^a-z&&[^c]]+", "[ab[c-d]]+", r"[^\s&&\S]+", r"[a-z&&[aeiou]&&[^e]]+", r"[-a]+", r"[a-]+", r"[^-a]+", r"[\-\]\[\\^]+", r"[.*+?()|{}$]+", r"\u0041+|\x{e9}|\x41",
    r"\v|\f|\a|\e|\t", r"\_\-\!\ \'\"\/", "(?>a+)b|(?>a|ab)", "(?<=a|bc)d|(?<!x )b", r"(?<=\s)\S+", r"(?<!\p{L})\p{L}", r"(?=\p{Lu})", r"(?!\p{L})", "a+?b|a??", ".*?a", "(a|ab)(c|bcd)?",
    r"(?:\p{L}|\p{M})+", r"(?:[a-z]+\d?)+", r"\p{Han}|\p{Hiragana}+|\p{Katakana}+|\p{Thai}+|\p{Hangul}+", r"\p{Arabic}+|\p{Hebrew}+|\p{Cyrillic}+|\p{Greek}+|\p{Latin}+|\p{Devanagari}+",
    r"\p{Cc}|\p{Cf}|\p{Cn}+|\p{Co}+", r"\p{Mn}|\p{Mc}|\p{Me}", r"\p{Pc}|\p{Pd}|\p{Ps}|\p{Pe}|\p{Pi}|\p{Pf}|\p{Po}+", r"\p{Sm}|\p{Sc}|\p{Sk}|\p{So}+", r"\p{Zs}+|\p{Zl}|\p{Zp}",
    r"\p{Nd}+|\p{Nl}|\p{No}", r"\d+|\s+", r"[\s\d]+", r"[^\s\d]+", "]|}", "a(?!b)", r"\n|\r", "\n|\x00", r"\p{lu}|\p{ L l }",
]

BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def metaspace(scheme="always", cut=True, mark="▁"):
    return {"type": "Metaspace", "replacement": mark, "prepend_scheme": scheme, "split": cut}


def punctuation(behavior="Isolated"):
    return {"type": "Punctuation", "behavior": behavior}


def digits(individual):
    return {"type": "Digits", "individual_digits": individual}


WHITESPACE_SPLIT, WHITESPACE, BERT = {"type": "WhitespaceSplit"}, {"type": "Whitespace"}, {"type": "BertPreTokenizer"}


def make_cases():
    cases = {}
    for name, pattern in PATTERNS.items():
        cases[f"pattern {name}"] = [split(pattern)]
    for pattern in SYNTAX:
        cases[f"syntax {pattern}"] = [split(pattern)]
    for behavior in BEHAVIORS:
        cases[f"punctuation {behavior}"] = [punctuation(behavior)]
        for invert in (False, True):
            for name, pattern, kind in (("spaces", r"\s+", "Regex"), ("gpt2", GPT2, "Regex"), ("empty", r"(?=[A-Z])|a|b ", "Regex"), ("deepseek", DEEPSEEK, "Regex"),
                                        ("text", "a", "String"), ("longer text", "'s", "String"), ("no text", "", "String")):
                cases[f"split {name} {behavior} {invert}"] = [split(pattern, behavior, invert, kind)]
    for prefix in (False, True):
        for regex in (False, True):
            cases[f"byte level {prefix} {regex}"] = [byte_level(prefix, regex)]
            cases[f"spaces, byte level {prefix} {regex}"] = [split(r"\s", "MergedWithNext"), byte_level(prefix, regex)]
    for scheme in ("always", "first", "never"):
        for cut in (False, True):
            cases[f"metaspace {scheme} {cut}"] = [metaspace(scheme, cut)]
            cases[f"metaspace x {scheme} {cut}"] = [metaspace(scheme, cut, "x")]
            cases[f"cut, metaspace {scheme} {cut}"] = [split(r"[\n!]", "Removed"), metaspace(scheme, cut)]
            cases[f"two metaspaces {scheme} {cut}"] = [metaspace(scheme, cut), punctuation(), metaspace(scheme, cut, "_")]
    for individual in (False, True):
        cases[f"digits {individual}"] = [digits(individual)]
        cases[f"digits {individual}, byte level"] = [digits(individual), byte_level()]
        cases[f"byte level, digits {individual}"] = [byte_level(), digits(individual)]
    cases["whitespace split"] = [WHITESPACE_SPLIT]
    cases["whitespace"] = [WHITESPACE]
    cases["bert"] = [BERT]
    cases["delimiter"] = [{"type": "CharDelimiterSplit", "delimiter": "é"}]
    cases["delimiter of spaces"] = [{"type": "CharDelimiterSplit", "delimiter": " "}]
    cases["t5"] = [WHITESPACE_SPLIT, metaspace()]
    cases["falcon"] = [punctuation("Contiguous"), byte_level(), digits(False), split("[0-9][0-9][0-9]")]
    cases["byte level, others"] = [byte_level(), punctuation(), WHITESPACE, split("[²¹½]", "MergedWithNext")]
    cases["deepseek-v3 in full"] = [split(r"\p{N}{1,3}"), split(CJK), split(DEEPSEEK), byte_level(False, False)]
    cases["deepseek-llm"] = [split("[\r\n]"), split(LATIN), split("\\s?[!-/:-~！-／：-～‘-‟　-。]+"), split("\\s+$"), split("[一-龥ࠀ-一가-퟿]+"), digits(True), byte_level(False, False)]
    cases["deepseek-coder"] = [split("[\r\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"), split("[一-龥ࠀ-一가-퟿]+"), digits(True), byte_level(False, False)]
    cases["gpt2 kept"] = [split(GPT2, "Removed", True), byte_level(False, False)]
    cases["smollm"] = [digits(True), byte_level()]
    cases["many"] = [WHITESPACE_SPLIT, punctuation("MergedWithPrevious"), digits(True), split("[aeiou]", "MergedWithNext"), BERT]
    return cases


CASES = make_cases()


def needs_alphabet(steps):
    return any(step["type"] == "ByteLevel" for step in steps)
