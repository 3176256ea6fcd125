#include "text/vocabulary.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "text/normalizer.h"
#include "text/spec_fingerprint.h"
#include "text/token_text.h"

namespace millrace::text {
namespace {

bool IsTakenAsWritten(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUserDefined || type == TokenType::kUnknown;
}

Status CheckCounts(const TokenizerSpec& spec) {
  if (spec.tokens.empty() || spec.tokens.size() > kMaxVocabularyTokens) {
    return Error(Code::kInvalidArgument, "{} tokens, expected 1 to {}", spec.tokens.size(), kMaxVocabularyTokens);
  }
  if (!spec.token_types.empty() && spec.token_types.size() != spec.tokens.size()) {
    return Error(Code::kInvalidArgument, "{} token types for {} tokens", spec.token_types.size(), spec.tokens.size());
  }
  return Status();
}

}  // namespace

std::string_view Vocabulary::Texts::At(TokenId id) const {
  const auto index = static_cast<size_t>(id);
  return std::string_view(bytes).substr(offsets[index], offsets[index + 1] - offsets[index]);
}

Status Vocabulary::Texts::Append(std::string_view text) {
  if (text.size() > kMaxVocabularyBytes - bytes.size()) {
    return Error(Code::kInvalidArgument, "all texts together pass {} bytes", kMaxVocabularyBytes);
  }
  bytes += text;
  offsets.push_back(static_cast<uint32_t>(bytes.size()));
  return Status();
}

Result<std::shared_ptr<const Vocabulary>> Vocabulary::Build(const TokenizerSpec& spec) {
  RETURN_IF_ERROR(CheckCounts(spec));
  RETURN_IF_ERROR(CheckDecoders(spec.decoders));
  std::shared_ptr<Vocabulary> vocabulary(new Vocabulary);
  vocabulary->decoders_ = spec.decoders;
  vocabulary->clean_up_spaces_ = spec.clean_up_spaces;
  RETURN_IF_ERROR(vocabulary->NormalizeAdded(spec));
  RETURN_IF_ERROR(vocabulary->TakeTokens(spec));
  RETURN_IF_ERROR(vocabulary->TakeSpecials(spec));
  vocabulary->fingerprint_ = SpecFingerprint(spec, vocabulary->end_of_sequence_);
  return std::shared_ptr<const Vocabulary>(std::move(vocabulary));
}

Status Vocabulary::NormalizeAdded(const TokenizerSpec& spec) {
  if (spec.normalizers.empty()) return Status();
  std::unique_ptr<const Normalizer> normalizer;
  size_t bytes = 0;
  for (const AddedToken& token : spec.added) {
    if (!token.normalized || token.id < 0 || static_cast<size_t>(token.id) >= spec.tokens.size()) continue;
    const std::string& text = spec.tokens[static_cast<size_t>(token.id)];
    if (text.size() > kMaxSpecialTokenBytes || !Utf8IsValid(text)) continue;  // refused with the other tokens
    if (normalizer == nullptr) {
      ASSIGN_OR_RETURN(normalizer, Normalizer::Create(spec.normalizers));
    }
    auto output = normalizer->Apply(text);
    if (!output.ok()) return output.status().Within(fmt::format("token {}", token.id));
    bytes += output->text.size();
    if (bytes > kMaxVocabularyBytes) {
      return Error(Code::kInvalidArgument, "token {}: all normalized texts together pass {} bytes", token.id,
                   kMaxVocabularyBytes);
    }
    if (output->text != text) normalized_texts_[token.id] = std::move(output->text);
  }
  return Status();
}

Status Vocabulary::TakeTokens(const TokenizerSpec& spec) {
  by_file_text_ = TextIndex(spec.tokens.size());
  types_.reserve(spec.tokens.size());
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const TokenType type = spec.token_types.empty() ? TokenType::kNormal : spec.token_types[i];
    if (Status status = TakeToken(spec.tokens[i], type); !status.ok()) return status.Within(fmt::format("token {}", i));
  }
  return Status();
}

Status Vocabulary::TakeToken(const std::string& file_text, TokenType type) {
  if (type > TokenType::kByte) return Error(Code::kInvalidArgument, "type {} is none of 0 to 5", static_cast<int>(type));
  const size_t limit = IsTakenAsWritten(type) ? kMaxSpecialTokenBytes : kMaxTokenBytes;
  if (file_text.size() > limit) {
    return Error(Code::kInvalidArgument, "text of {} bytes, expected at most {}", file_text.size(), limit);
  }
  if (!Utf8IsValid(file_text)) return Error(Code::kInvalidArgument, "text is not well-formed UTF-8");
  const auto id = static_cast<TokenId>(types_.size());
  RETURN_IF_ERROR(file_texts_.Append(file_text));
  const auto normalized = normalized_texts_.find(id);
  const Status status =
      texts_.Append(TokenText(decoders_, normalized == normalized_texts_.end() ? file_text : normalized->second));
  if (!status.ok()) return status.Within("decoded");
  types_.push_back(type);
  if (file_text.empty() || type == TokenType::kUnused) return Status();
  const TokenId same = by_file_text_.Insert(id, [this](TokenId token) { return file_texts_.At(token); });
  if (same != kNoToken) return Error(Code::kInvalidArgument, "text '{}' is that of token {} too", file_text, same);
  return Status();
}

Status Vocabulary::TakeSpecials(const TokenizerSpec& spec) {
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
  prefix_ = spec.prefix;
  suffix_ = spec.suffix;
  if (std::max(prefix_.size(), suffix_.size()) > kMaxAffixTokens) {
    return Error(Code::kInvalidArgument, "{} tokens around a text, expected at most {}", std::max(prefix_.size(), suffix_.size()),
                 kMaxAffixTokens);
  }
  const std::pair<const char*, const std::vector<TokenId>*> lists[] = {
      {"end of sequence", &end_of_sequence_}, {"prefix", &prefix_}, {"suffix", &suffix_}};
  for (const auto& [name, list] : lists) {
    for (const TokenId id : *list) {
      std::optional<TokenId> ignored;
      RETURN_IF_ERROR(take(name, id, ignored));
    }
  }
  return Status();
}

std::string_view Vocabulary::Text(TokenId id) const { return Contains(id) ? texts_.At(id) : std::string_view(); }

std::string_view Vocabulary::DecoderText(TokenId id) const {
  const auto normalized = normalized_texts_.find(id);
  return normalized == normalized_texts_.end() ? FileText(id) : std::string_view(normalized->second);
}

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
