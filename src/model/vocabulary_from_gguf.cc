#include "model/vocabulary_from_gguf.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/types.h"
#include "model/turn_ends.h"
#include "text/named_pretokenizer.h"
#include "weights/shown_text.h"

namespace millrace::model {

namespace {

using text::TokenizerSpec;
using text::TokenType;
using weights::GgufFile;

// Pre-tokenizers whose models expect the beginning-of-sequence token when the file does not say.
constexpr std::array<std::string_view, 3> kBosByDefault = {"llama-bpe", "llama3", "llama-v3"};

// Copies a string array; `what` and `limit` name and bound it.
Result<std::vector<std::string>> CopyStrings(const GgufFile& file, std::string_view key, size_t limit) {
  ASSIGN_OR_RETURN(const auto strings, file.GetStringArray(key));
  if (strings.size() > limit) {
    return Error(Code::kResourceExhausted, "metadata '{}': {} strings, expected at most {}", key, strings.size(), limit);
  }
  // All of them together, so that a file cannot make us hold more than a vocabulary's worth of text.
  if (strings.size_bytes() - strings.size() * sizeof(uint64_t) > text::kMaxVocabularyBytes) {
    return Error(Code::kResourceExhausted, "metadata '{}': {} bytes of text, expected at most {}", key, strings.size_bytes(),
                 text::kMaxVocabularyBytes);
  }
  std::vector<std::string> copied;
  copied.reserve(strings.size());
  for (const std::string_view text : strings) copied.emplace_back(text);
  return copied;
}

Result<TokenType> TokenTypeFromGguf(int32_t type) {
  switch (type) {
    case 1:
      return TokenType::kNormal;
    case 2:
      return TokenType::kUnknown;
    case 3:
      return TokenType::kControl;
    case 4:
      return TokenType::kUserDefined;
    case 5:
      return TokenType::kUnused;
    case 6:
      return TokenType::kByte;
    default:
      return Error(Code::kInvalidArgument, "type {}, expected 1 to 6", type);
  }
}

Status ReadTokenTypes(const GgufFile& file, TokenizerSpec& spec) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  if (!file.Has(kKey)) return {};
  ASSIGN_OR_RETURN(const auto types, file.GetI32Array(kKey));
  if (types.size() != spec.tokens.size()) {
    return Error(Code::kDataLoss, "metadata '{}': {} types for {} tokens", kKey, types.size(), spec.tokens.size());
  }
  spec.token_types.reserve(types.size());
  for (size_t id = 0; id < types.size(); ++id) {
    const auto type = TokenTypeFromGguf(types[id]);
    if (!type.ok()) return Error(type.status().code(), "metadata '{}': token {}: {}", kKey, id, type.status().message());
    spec.token_types.push_back(*type);
  }
  return {};
}

Result<std::optional<TokenId>> ReadTokenId(const GgufFile& file, std::string_view key, size_t tokens) {
  if (!file.Has(key)) return std::optional<TokenId>();
  ASSIGN_OR_RETURN(const uint32_t id, file.GetU32(key));
  if (id >= tokens) return Error(Code::kDataLoss, "metadata '{}': {}, expected an id below {}", key, id, tokens);
  return std::optional<TokenId>(static_cast<TokenId>(id));
}

Status ReadSpecialIds(const GgufFile& file, TokenizerSpec& spec) {
  const size_t tokens = spec.tokens.size();
  ASSIGN_OR_RETURN(spec.bos, ReadTokenId(file, "tokenizer.ggml.bos_token_id", tokens));
  ASSIGN_OR_RETURN(spec.eos, ReadTokenId(file, "tokenizer.ggml.eos_token_id", tokens));
  ASSIGN_OR_RETURN(spec.unk, ReadTokenId(file, "tokenizer.ggml.unknown_token_id", tokens));
  ASSIGN_OR_RETURN(spec.pad, ReadTokenId(file, "tokenizer.ggml.padding_token_id", tokens));

  std::vector<TokenId>& ends = spec.end_of_sequence;
  if (spec.eos) ends.push_back(*spec.eos);
  for (const std::string_view key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    ASSIGN_OR_RETURN(const auto id, ReadTokenId(file, key, tokens));
    if (id) ends.push_back(*id);
  }
  AddTurnEnds(spec);
  return {};
}

Status ReadFlags(const GgufFile& file, std::string_view pre, TokenizerSpec& spec) {
  const bool bos_by_default = std::find(kBosByDefault.begin(), kBosByDefault.end(), pre) != kBosByDefault.end();
  ASSIGN_OR_RETURN(const bool add_bos, file.GetBoolOr("tokenizer.ggml.add_bos_token", bos_by_default));
  if (add_bos && !spec.bos) {
    return Error(Code::kDataLoss, "metadata 'tokenizer.ggml.add_bos_token': set, but there is no tokenizer.ggml.bos_token_id");
  }
  if (add_bos) spec.prefix = {*spec.bos};
  return {};
}

}  // namespace

Result<TokenizerSpec> TokenizerSpecFromGguf(const GgufFile& file, uint32_t vocab) {
  if (!file.Has("tokenizer.ggml.model")) return Error(Code::kNotFound, "metadata 'tokenizer.ggml.model': missing");
  ASSIGN_OR_RETURN(const auto kind, file.GetString("tokenizer.ggml.model"));
  if (kind != "gpt2") {
    return Error(Code::kUnsupported,
                 "metadata 'tokenizer.ggml.model': '{}' is not supported; this build knows: gpt2 (byte-level BPE)",
                 weights::ShownText(kind));
  }
  TokenizerSpec spec;
  ASSIGN_OR_RETURN(spec.tokens, CopyStrings(file, "tokenizer.ggml.tokens", text::kMaxVocabularyTokens));
  if (spec.tokens.size() != vocab) {
    return Error(Code::kDataLoss, "metadata 'tokenizer.ggml.tokens': {} tokens, but the model's embedding has {} rows",
                 spec.tokens.size(), vocab);
  }
  std::string pre = "default";
  if (file.Has("tokenizer.ggml.pre")) {
    ASSIGN_OR_RETURN(pre, file.GetString("tokenizer.ggml.pre"));
  }
  ASSIGN_OR_RETURN(const auto stages, text::NamedPreTokenizer::StagesOf(pre));
  for (const std::string& pattern : stages.patterns) spec.pre_tokenizers.emplace_back(text::PatternSplit{{pattern, true}});
  ASSIGN_OR_RETURN(const bool space, file.GetBoolOr("tokenizer.ggml.add_space_prefix", false));
  spec.pre_tokenizers.emplace_back(text::ByteLevelSplit{.add_prefix_space = space, .use_regex = false});
  text::BpeModel model;
  model.byte_level = true;
  model.ignore_merges = stages.whole_words_first;
  ASSIGN_OR_RETURN(const auto merges, CopyStrings(file, "tokenizer.ggml.merges", text::kMaxVocabularyMerges));
  for (const std::string& merge : merges) {
    const size_t at = merge.find(' ', 1);
    if (at == std::string::npos || at + 1 == merge.size()) {
      return Error(Code::kDataLoss, "metadata 'tokenizer.ggml.merges': merge {}: expected 'left right', found '{}'",
                   model.merges.size(), weights::ShownText(merge));
    }
    model.merges.push_back({merge.substr(0, at) + merge.substr(at + 1), static_cast<uint32_t>(at)});
  }
  spec.model = std::move(model);
  spec.decoders = {text::ByteLevelDecoder{}};
  RETURN_IF_ERROR(ReadTokenTypes(file, spec));
  RETURN_IF_ERROR(ReadSpecialIds(file, spec));
  RETURN_IF_ERROR(ReadFlags(file, pre, spec));
  return spec;
}

}  // namespace millrace::model
