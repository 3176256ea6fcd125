#include "text/vocabulary.h"

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"

namespace millrace::text {
namespace {

bool IsTakenAsWritten(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUserDefined || type == TokenType::kUnknown;
}

std::optional<uint8_t> HexDigit(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
  if (c >= 'A' && c <= 'F') return static_cast<uint8_t>(c - 'A' + 10);
  if (c >= 'a' && c <= 'f') return static_cast<uint8_t>(c - 'a' + 10);
  return std::nullopt;
}

// "<0x0A>" to 10.
std::optional<uint8_t> ParseByteToken(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  const std::optional<uint8_t> high = HexDigit(text[3]);
  const std::optional<uint8_t> low = HexDigit(text[4]);
  if (!high || !low) return std::nullopt;
  return static_cast<uint8_t>(*high << 4 | *low);
}

// What a token stands for. A normal token with a code point outside the alphabet stands for its text as written.
std::string MeaningOf(const std::string& file_text, TokenType type) {
  if (IsTakenAsWritten(type)) return file_text;
  if (type == TokenType::kByte) {
    const std::optional<uint8_t> byte = ParseByteToken(file_text);
    return byte ? std::string(1, static_cast<char>(*byte)) : file_text;
  }
  return BytesFromAlphabet(file_text).value_or(file_text);
}

// Where the space between the two sides of a merge stands; a side may begin with a space, so the first byte is not looked at.
size_t MergeSpace(std::string_view merge) { return merge.find(' ', 1); }

// Chains FNV-1a over fields; every text goes in with its length, so that fields cannot run into each other.
class Fingerprint {
 public:
  void Add(uint64_t number) {
    char bytes[8];
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * i));
    hash_ = Fnv1a(std::string_view(bytes, sizeof(bytes)), hash_);
  }
  void Add(std::string_view text) {
    Add(text.size());
    hash_ = Fnv1a(text, hash_);
  }
  void Add(std::optional<TokenId> id) { Add(static_cast<uint64_t>(static_cast<int64_t>(id.value_or(kNoToken)))); }
  uint64_t hash() const { return hash_; }

 private:
  uint64_t hash_ = kFnvSeed;
};

uint64_t FingerprintOf(const VocabularySpec& spec, const std::vector<TokenId>& end_of_sequence) {
  Fingerprint fingerprint;
  fingerprint.Add(static_cast<uint64_t>(spec.kind));
  fingerprint.Add(static_cast<uint64_t>(spec.tokens.size()));
  for (const std::string& token : spec.tokens) fingerprint.Add(std::string_view(token));
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    fingerprint.Add(static_cast<uint64_t>(spec.token_types.empty() ? TokenType::kNormal : spec.token_types[i]));
  }
  fingerprint.Add(static_cast<uint64_t>(spec.merges.size()));
  for (const std::string& merge : spec.merges) fingerprint.Add(std::string_view(merge));
  fingerprint.Add(std::string_view(spec.pre_tokenizer));
  for (const std::optional<TokenId>& id : {spec.bos, spec.eos, spec.unk, spec.pad}) fingerprint.Add(id);
  fingerprint.Add(static_cast<uint64_t>(end_of_sequence.size()));
  for (const TokenId id : end_of_sequence) fingerprint.Add(std::optional<TokenId>(id));
  fingerprint.Add(static_cast<uint64_t>(spec.add_bos));
  fingerprint.Add(static_cast<uint64_t>(spec.add_space_prefix));
  return fingerprint.hash();
}

Status CheckCounts(const VocabularySpec& spec) {
  if (spec.tokens.empty() || spec.tokens.size() > kMaxVocabularyTokens) {
    return Error(Code::kInvalidArgument, "{} tokens, expected 1 to {}", spec.tokens.size(), kMaxVocabularyTokens);
  }
  if (!spec.token_types.empty() && spec.token_types.size() != spec.tokens.size()) {
    return Error(Code::kInvalidArgument, "{} token types for {} tokens", spec.token_types.size(), spec.tokens.size());
  }
  if (spec.merges.size() > kMaxVocabularyMerges) {
    return Error(Code::kInvalidArgument, "{} merges, expected at most {}", spec.merges.size(), kMaxVocabularyMerges);
  }
  return Status();
}

}  // namespace

std::string_view Vocabulary::Texts::At(TokenId id) const {
  const auto index = static_cast<size_t>(id);
  return std::string_view(bytes).substr(offsets[index], offsets[index + 1] - offsets[index]);
}

void Vocabulary::Texts::Append(std::string_view text) {
  bytes += text;
  offsets.push_back(static_cast<uint32_t>(bytes.size()));
}

Result<std::shared_ptr<const Vocabulary>> Vocabulary::Build(VocabularySpec spec) {
  RETURN_IF_ERROR(CheckCounts(spec));
  std::shared_ptr<Vocabulary> vocabulary(new Vocabulary);
  vocabulary->kind_ = spec.kind;
  vocabulary->pre_tokenizer_ = spec.pre_tokenizer;
  vocabulary->add_bos_ = spec.add_bos;
  vocabulary->add_space_prefix_ = spec.add_space_prefix;
  RETURN_IF_ERROR(vocabulary->TakeTokens(spec));
  RETURN_IF_ERROR(vocabulary->TakeSpecials(spec));
  RETURN_IF_ERROR(vocabulary->TakeMerges(spec));
  vocabulary->fingerprint_ = FingerprintOf(spec, vocabulary->end_of_sequence_);
  return std::shared_ptr<const Vocabulary>(std::move(vocabulary));
}

Status Vocabulary::TakeTokens(const VocabularySpec& spec) {
  by_file_text_ = TextIndex(spec.tokens.size());
  types_.reserve(spec.tokens.size());
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const TokenType type = spec.token_types.empty() ? TokenType::kNormal : spec.token_types[i];
    if (Status status = TakeToken(spec.tokens[i], type); !status.ok()) return status.Within(fmt::format("token {}", i));
  }
  for (int byte = 0; byte < 256; ++byte) byte_tokens_[static_cast<size_t>(byte)] = FindByte(static_cast<uint8_t>(byte));
  return Status();
}

Status Vocabulary::TakeToken(const std::string& file_text, TokenType type) {
  if (type > TokenType::kByte) return Error(Code::kInvalidArgument, "type {} is none of 0 to 5", static_cast<int>(type));
  const size_t limit = IsTakenAsWritten(type) ? kMaxSpecialTokenBytes : kMaxTokenBytes;
  if (file_text.size() > limit) {
    return Error(Code::kInvalidArgument, "text of {} bytes, expected at most {}", file_text.size(), limit);
  }
  if (file_text.size() > kMaxVocabularyBytes - file_texts_.bytes.size()) {
    return Error(Code::kInvalidArgument, "all texts together pass {} bytes", kMaxVocabularyBytes);
  }
  if (!Utf8IsValid(file_text)) return Error(Code::kInvalidArgument, "text is not well-formed UTF-8");
  const auto id = static_cast<TokenId>(types_.size());
  file_texts_.Append(file_text);
  texts_.Append(MeaningOf(file_text, type));
  types_.push_back(type);
  if (file_text.empty() || type == TokenType::kUnused) return Status();
  const TokenId same = by_file_text_.Insert(id, [this](TokenId token) { return file_texts_.At(token); });
  if (same != kNoToken) return Error(Code::kInvalidArgument, "text '{}' is that of token {} too", file_text, same);
  return Status();
}

TokenId Vocabulary::FindByte(uint8_t byte) const {
  std::string text;
  Utf8Append(AlphabetCodePoint(byte), text);
  const std::optional<TokenId> written = Find(text);
  if (written && Type(*written) == TokenType::kNormal) return *written;
  const std::optional<TokenId> hexadecimal = Find(fmt::format("<0x{:02X}>", byte));
  if (hexadecimal && Type(*hexadecimal) == TokenType::kByte) return *hexadecimal;
  return kNoToken;
}

Status Vocabulary::TakeSpecials(const VocabularySpec& spec) {
  const auto take = [&](const char* name, std::optional<TokenId> id, std::optional<TokenId>& out) {
    if (id && !Contains(*id)) return Error(Code::kInvalidArgument, "{} is token {} of {}", name, *id, size());
    out = id;
    return Status();
  };
  RETURN_IF_ERROR(take("beginning of sequence", spec.bos, bos_));
  RETURN_IF_ERROR(take("end of sequence", spec.eos, eos_));
  RETURN_IF_ERROR(take("unknown", spec.unk, unk_));
  RETURN_IF_ERROR(take("padding", spec.pad, pad_));
  end_of_sequence_ = spec.end_of_sequence;
  if (eos_) end_of_sequence_.push_back(*eos_);
  std::sort(end_of_sequence_.begin(), end_of_sequence_.end());
  end_of_sequence_.erase(std::unique(end_of_sequence_.begin(), end_of_sequence_.end()), end_of_sequence_.end());
  for (const TokenId id : end_of_sequence_) {
    std::optional<TokenId> ignored;
    RETURN_IF_ERROR(take("end of sequence", id, ignored));
  }
  return Status();
}

Status Vocabulary::TakeMerges(const VocabularySpec& spec) {
  merges_.Reset(spec.merges.size());
  std::string both;
  for (size_t i = 0; i < spec.merges.size(); ++i) {
    const std::string_view merge = spec.merges[i];
    const size_t space = MergeSpace(merge);
    if (merge.size() > 2 * kMaxTokenBytes + 1 || space == std::string_view::npos || space + 1 == merge.size()) {
      return Error(Code::kInvalidArgument, "merge {}: expected 'left right', found '{}'", i, merge.substr(0, 80));
    }
    const std::string_view left = merge.substr(0, space);
    const std::string_view right = merge.substr(space + 1);
    both.assign(left).append(right);
    TokenId ids[3];
    const std::string_view parts[3] = {left, right, both};
    for (int part = 0; part < 3; ++part) {
      const std::optional<TokenId> id = Find(parts[part]);
      if (!id) return Error(Code::kInvalidArgument, "merge {} '{}': '{}' is no token", i, merge, parts[part]);
      ids[part] = *id;
    }
    merges_.Add(ids[0], ids[1], ids[2]);
  }
  return Status();
}

std::string_view Vocabulary::Text(TokenId id) const { return Contains(id) ? texts_.At(id) : std::string_view(); }

TokenType Vocabulary::Type(TokenId id) const { return Contains(id) ? types_[static_cast<size_t>(id)] : TokenType::kUnused; }

bool Vocabulary::IsControl(TokenId id) const { return Type(id) == TokenType::kControl || Type(id) == TokenType::kUnknown; }

bool Vocabulary::IsEndOfSequence(TokenId id) const {
  return std::binary_search(end_of_sequence_.begin(), end_of_sequence_.end(), id);
}

std::optional<TokenId> Vocabulary::Find(std::string_view file_text) const {
  const TokenId id = by_file_text_.Find(file_text, [this](TokenId token) { return file_texts_.At(token); });
  if (id == kNoToken) return std::nullopt;
  return id;
}

}  // namespace millrace::text
