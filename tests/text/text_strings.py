"""Generated and adversarial strings: every assigned code point, long runs, and random mixtures."""
import pathlib
import random
import unicodedata


def assigned_code_points():
    database = pathlib.Path("/usr/share/unicode/UnicodeData.txt")
    if database.exists():
        points, begin = [], None
        for line in database.read_text(encoding="utf-8").splitlines():
            fields = line.split(";")
            code = int(fields[0], 16)
            if fields[1].endswith(", First>"):
                begin = code
            else:
                points += range(code if begin is None else begin, code + 1)
                begin = None
    else:
        points = [code for code in range(0x110000) if unicodedata.category(chr(code)) != "Cn"]
    return [code for code in points if not 0xD800 <= code <= 0xDFFF]


WORDS = ("the of and a to in he have it that for they I with as not on she at by this we you do but from or which one would all "
         "will there say who make when can more if no man out other so what time up go about than into could state only new year "
         "some take come these know see use get like then first any work now may such give over think most even find day also "
         "after way many must look before great back through long where much should well people down own just because good each "
         "those feel seem how high too place little world very still nation hand old life tell write become here show house both "
         "between need mean call develop under last right move thing general school never same another begin while number part "
         "antidisestablishmentarianism Überraschung naïve coöperate façade Straße garçon señor Ελληνικά русский עברית العربية हिन्दी "
         "ไทย 日本語 中文 한국어 Tiếng Việt").split()
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ll", "’s", "'", "''", "'sn't", " 's", "'\u017f",
                "'re's", "'l", "'v", "'r"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r", "\r\n", "\n\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\xa0", "\u1680",
          "\u180e", "\u2000", "\u2009", "\u200a", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u2060", "\u3000", "\ufeff"]
EMOJI = ["😀", "👩\u200d💻", "👨\u200d👩\u200d👧\u200d👦", "🏳\ufe0f\u200d🌈", "🇩🇪", "1\ufe0f\u20e3", "👍🏽", "☺\ufe0f", "🫠", "\u200d", "\ufe0f", "❤\ufe0f\u200d🔥"]
COMBINING = ["e\u0301", "a\u0300\u0323", "o\u0308\u0304", "\u0915\u094d\u0937", "\u0e01\u0e33", "\u1100\u1161\u11a8", "Z\u0351\u0352\u0353\u0354"]
DIGITS = ["0", "7", "42", "1234567", "3.14", "1,000,000", "²³¹", "½", "Ⅷ", "٣٤", "१२३", "一二三", "①", "𝟘𝟙", "੬", "〇", "0x1F", "1e-9"]
CODE = ["for (int i = 0; i < n; ++i) {\n    sum += a[i];\n}\n", "def f(x):\n\treturn {'a': x**2, \"b\": [1, 2]}\n", "<div class=\"x\">&nbsp;</div>",
        "SELECT * FROM t WHERE a != 'b';", "#include <vector>\n", "https://example.org/a?b=c&d=%20#e", "{\"key\": [1, 2.5, null, true]}",
        "$ ls -la | grep '^d' > out.txt 2>&1", "λx.x", "a->b::c<d>()", "\\frac{1}{2}", "```python\nprint()\n```", "=====", "-----", "// TODO"]
JOINTS = ["", " ", "  ", "\n", "\n\n", " \n", "\t", "\u00a0", "\u200b", ".", ",", "-", "_", "'", "\"", "1"]


class Generator:
    def __init__(self, seed, special):
        self.random = random.Random(seed)
        self.special = special
        self.points = assigned_code_points()
        self.blocks = [self.points[i:i + 128] for i in range(0, len(self.points), 128)]

    def piece(self):
        pick, choice = self.random.randrange(16), self.random.choice
        if pick < 4:
            word = choice(WORDS)
            return choice([word, word.upper(), word.title(), word[::-1], word + choice(CONTRACTIONS)])
        if pick == 4:
            return choice(CONTRACTIONS)
        if pick == 5:
            return choice(SPACES) * self.random.choice([1, 1, 1, 2, 3, 4, 7, 16, 40])
        if pick == 6:
            return choice(EMOJI)
        if pick == 7:
            return choice(COMBINING)
        if pick == 8:
            return choice(DIGITS)
        if pick == 9:
            return choice(CODE)
        if pick == 10:
            token = choice(self.special)
            cut = self.random.randrange(len(token) + 1)
            return choice([token, token, token[:cut], token[cut:], token.upper(), token + token[:cut], token[:cut] + token])
        if pick == 11:
            return "".join(chr(choice(choice(self.blocks))) for _ in range(self.random.randrange(1, 8)))
        if pick == 12:
            block = choice(self.blocks)
            return "".join(chr(choice(block)) for _ in range(self.random.randrange(1, 12)))
        if pick == 13:
            return "".join(chr(self.random.randrange(128)) for _ in range(self.random.randrange(1, 12)))
        if pick == 14:
            return choice(["a", "A", " ", "\n", "é", "漢", "!", "=", "'", "ab", "😀", "\x00", "9", "ſ", "\u0301"]) * self.random.randrange(1, 60)
        return chr(choice([0x0, 0x7F, 0x80, 0xAD, 0xE000, 0xF8FF, 0xFFFD, 0xFFFE, 0xFFFF, 0x1FFFF, 0xF0000, 0x10FFFF, 0x10FFFD]))

    def mixed(self):
        out = ""
        for _ in range(self.random.choice([1, 1, 2, 3, 4, 6, 10, 20])):
            out += self.piece() + self.random.choice(JOINTS)
        return out

    def every_code_point(self):
        """Each assigned code point between letters, after a space, after a digit, doubled, and last."""
        for begin in range(0, len(self.points), 16):
            chars = [chr(code) for code in self.points[begin:begin + 16]]
            yield "".join(f"a{c}b {c}{c}1{c} '{c}\n{c}" for c in chars)

    def long_runs(self):
        for unit in ["a", " ", "\n", "ab", "é", "漢", "😀", "1", "\x00", "= ", "'s", "aA", "\r\n", " \n", "the ", "\u3000", self.special[0]]:
            for length in (1_000, 20_000):
                yield unit * (length // len(unit))
                yield "x" + unit * (length // len(unit)) + "y"

    def all(self, count):
        strings = ["", *self.every_code_point(), *self.long_runs()]
        if count < len(strings):
            strings = self.random.sample(strings, count)
        while len(strings) < count:
            strings.append(self.mixed())
        return strings
