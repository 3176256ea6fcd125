"""Tokenizers to compare with. Each has encode(strings, parse_special) -> lists of ids and decode(lists of ids) -> texts, special tokens
shown."""
import ctypes

import pipelines


def broken_bytes(texts):
    """Whether byte tokens ("<0xE4>") that follow each other are not UTF-8. `tokenizers` then replaces each of them, and a stream, which cannot
    know what comes, only those that are wrong, as SentencePiece does."""
    run = b""
    for text in [*texts, ""]:
        if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
            run += bytes([int(text[3:5], 16)])
            continue
        if run.decode("utf-8", "replace").encode() != run:
            return True
        run = b""
    return False


class PythonTokenizers:
    """The package `tokenizers`."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def encode(self, strings, parse_special):
        self.tokenizer.encode_special_tokens = not parse_special
        out = []
        for begin in range(0, len(strings), 1000):
            out += [encoding.ids for encoding in self.tokenizer.encode_batch_fast(strings[begin:begin + 1000], add_special_tokens=False)]
        return out

    def decode(self, lists):
        return self.tokenizer.decode_batch(lists, skip_special_tokens=False)

    def comparable(self, ids):
        return not broken_bytes(map(self.tokenizer.id_to_token, ids))


class Parted:
    """Takes special tokens out of the text, leftmost and longest first, and has the parts between them encoded one by one."""

    def __init__(self, tokens):
        """tokens: dictionaries as in tokenizer.json."""
        import regex
        self.ids = {token["content"]: token["id"] for token in tokens}
        by_length = sorted(tokens, key=lambda token: -len(token["content"]))
        patterns = [(r"\s*" if token["lstrip"] else "") + "(" + regex.escape(token["content"]) + ")" + (r"\s*" if token["rstrip"] else "")
                    for token in by_length]
        self.pattern = regex.compile("|".join(patterns)) if tokens else None

    def cut(self, text):
        """[text or id]."""
        out, at = [], 0
        for match in self.pattern.finditer(text) if self.pattern else ():
            out += [text[at:match.start()], self.ids[next(group for group in match.groups() if group is not None)]]
            at = match.end()
        return [part for part in [*out, text[at:]] if part != ""]


class SentencePiece:
    """The package `sentencepiece`; special tokens as `tokenizers` finds them, each text between them encoded by itself."""

    def __init__(self, proto, added):
        import sentencepiece
        self.model = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
        self.parted = {True: Parted(added), False: Parted([token for token in added if not token["special"]])}

    def encode(self, strings, parse_special):
        parts = [self.parted[parse_special].cut(string) for string in strings]
        texts = [part for row in parts for part in row if isinstance(part, str)]
        ids = iter(self.model.encode(texts))
        out = []
        for row in parts:
            out.append([i for part in row for i in (next(ids) if isinstance(part, str) else (part,))])
        return out

    def decode(self, lists):
        return [self.model.decode(ids) for ids in lists]

    def comparable(self, ids):
        """Not where a byte token is the space that a text begins with, which no text becomes: `tokenizers` takes it away, SentencePiece does not."""
        return not ids or self.model.id_to_piece(ids[0]) != "<0x20>"


class Tiktoken:
    """A tiktoken encoding, its ids moved up by `first_id`. `normalize` comes first, by the tables of `tokenizers`, as in the tokenizer.json that the
    authors publish beside it: those of Python are of another Unicode version in each of its releases."""

    def __init__(self, encoding, special, first_id=0, normalize=None):
        from tokenizers import normalizers
        self.encoding, self.first_id = encoding, first_id
        self.normalizer = getattr(normalizers, normalize)() if normalize else None
        self.parted = Parted([pipelines.added_token(i, text, True) for text, i in special.items()])
        self.texts = {i: text.encode() for text, i in special.items()}

    def encode(self, strings, parse_special):
        out = []
        for string in strings:
            ids = []
            for part in self.parted.cut(string) if parse_special else [string]:
                if isinstance(part, int):
                    ids.append(part)
                    continue
                text = self.normalizer.normalize_str(part) if self.normalizer else part
                ids += [self.first_id + i for i in self.encoding.encode_ordinary(text)]
            out.append(ids)
        return out

    def decode(self, lists):
        def raw(i):
            return self.texts.get(i) or self.encoding.decode_single_token_bytes(i - self.first_id)
        return [b"".join(map(raw, ids)).decode("utf-8", "replace") for ids in lists]


class ModelParameters(ctypes.Structure):
    """llama_model_params of the pinned xllamacpp; only `vocab_only` is set here, the rest comes from the library."""
    _fields_ = [("pointers", ctypes.c_void_p * 2), ("numbers", ctypes.c_int32 * 5), ("more", ctypes.c_void_p * 4), ("vocab_only", ctypes.c_bool),
                ("flags", ctypes.c_bool * 63)]


class LlamaCpp:
    """llama.cpp through its C interface, which the package `xllamacpp` exports."""

    def __init__(self, path):
        import xllamacpp
        self.library = library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
        self.quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        library.llama_log_set(self.quiet, None)
        library.llama_backend_init()
        library.llama_model_default_params.restype = ModelParameters
        library.llama_model_load_from_file.argtypes = [ctypes.c_char_p, ModelParameters]
        library.llama_model_load_from_file.restype = ctypes.c_void_p
        library.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
        library.llama_model_get_vocab.restype = ctypes.c_void_p
        library.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_bool,
                                           ctypes.c_bool]
        library.llama_detokenize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p, ctypes.c_int32, ctypes.c_bool,
                                             ctypes.c_bool]
        parameters = library.llama_model_default_params()
        parameters.vocab_only = True
        self.model = library.llama_model_load_from_file(str(path).encode(), parameters)
        if not self.model:
            raise ValueError(f"llama.cpp does not open {path}")
        self.vocab = library.llama_model_get_vocab(self.model)

    def encode(self, strings, parse_special):
        out, room = [], (ctypes.c_int32 * 1024)()
        for string in strings:
            raw = string.encode("utf-8")
            if len(raw) + 8 > len(room):
                room = (ctypes.c_int32 * (2 * len(raw) + 8))()
            count = self.library.llama_tokenize(self.vocab, raw, len(raw), room, len(room), False, parse_special)
            if count < 0:  # normalisation can make the text longer
                room = (ctypes.c_int32 * -count)()
                count = self.library.llama_tokenize(self.vocab, raw, len(raw), room, len(room), False, parse_special)
            out.append(room[:count])
        return out

    def decode(self, lists):
        out, room = [], ctypes.create_string_buffer(1 << 20)
        for ids in lists:
            count = self.library.llama_detokenize(self.vocab, (ctypes.c_int32 * len(ids))(*ids), len(ids), room, len(room), False, True)
            out.append(room.raw[:count].decode("utf-8", "replace"))
        return out
