#include "model/model_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "model/tokenizer_json.h"
#include "model/vocabulary_from_gguf.h"
#include "weights/shown_text.h"

namespace millrace::model {

namespace {

constexpr Key kVocabKey{"", "vocab_size"};

template <typename FileOf>
TokenizerFiles TokenizerFilesIn(const FileOf& file_of) {
  return {.tokenizer = file_of(kTokenizerFile),
          .tokenizer_config = file_of(kTokenizerConfigFile),
          .special_tokens = file_of(kSpecialTokensFile),
          .generation_config = file_of(kGenerationConfigFile)};
}

// A number between `low` and `high`.
Result<std::optional<double>> NumberIn(const Json& config, std::string_view key, double low, double high) {
  const Json* value = config.Find(key);
  if (value == nullptr || value->is_null()) return std::optional<double>();
  if (!value->is_number() || !(value->as_double() >= low && value->as_double() <= high)) {
    return Error(Code::kInvalidArgument, "{} '{}': {}, expected a number from {} to {}", kGenerationConfigFile, key,
                 weights::ShownText(value->Write()), low, high);
  }
  return std::optional<double>(value->as_double());
}

Result<std::optional<float>> FloatIn(const Json& config, std::string_view key, double low, double high) {
  ASSIGN_OR_RETURN(const auto number, NumberIn(config, key, low, high));
  return number ? std::optional(static_cast<float>(*number)) : std::nullopt;
}

}  // namespace

Result<text::TokenizerSpec> TokenizerSpecOf(const ModelSource& source, std::optional<uint32_t> vocab) {
  if (source.is_gguf()) {
    if (vocab) return TokenizerSpecFromGguf(source.gguf(), *vocab);
    ASSIGN_OR_RETURN(const auto tokens, source.gguf().GetStringArray("tokenizer.ggml.tokens"));
    return TokenizerSpecFromGguf(source.gguf(), static_cast<uint32_t>(std::min<uint64_t>(tokens.size(), UINT32_MAX)));
  }
  const Checkpoint& checkpoint = source.checkpoint();
  if (!vocab) {
    ASSIGN_OR_RETURN(const Metadata metadata, source.ReadMetadata());
    ASSIGN_OR_RETURN(vocab, metadata.U32(kVocabKey));
  }
  return TokenizerSpecFromJson(TokenizerFilesIn([&](std::string_view name) { return checkpoint.File(name); }),
                               checkpoint.config().Find("eos_token_id"), vocab);
}

Result<text::TokenizerSpec> TokenizerSpecOfFiles(std::span<const NamedFile> files) {
  const auto find = [files](std::string_view name) {
    for (const NamedFile& file : files) {
      if (file.name == name) return file;
    }
    return NamedFile{};
  };
  ASSIGN_OR_RETURN(const Json config, ParseSmallJson(find(kConfigFile)));
  std::optional<uint32_t> rows;
  if (config.is_object()) {
    ASSIGN_OR_RETURN(const Metadata metadata, Metadata::Of(config));
    if (const auto vocab = metadata.U32(kVocabKey); vocab.ok()) rows = *vocab;
  }
  return TokenizerSpecFromJson(TokenizerFilesIn(find), config.Find("eos_token_id"), rows);
}

Result<SamplingHints> SamplingOf(const ModelSource& source) {
  SamplingHints hints;
  if (source.is_gguf()) return hints;
  ASSIGN_OR_RETURN(const Json config, ParseSmallJson(source.checkpoint().File(kGenerationConfigFile)));
  ASSIGN_OR_RETURN(hints.temperature, FloatIn(config, "temperature", 0, 100));
  ASSIGN_OR_RETURN(hints.top_p, FloatIn(config, "top_p", 1e-6, 1));
  ASSIGN_OR_RETURN(hints.min_p, FloatIn(config, "min_p", 0, 1));
  ASSIGN_OR_RETURN(hints.repetition_penalty, FloatIn(config, "repetition_penalty", 0.01, 10));
  ASSIGN_OR_RETURN(const auto top_k, NumberIn(config, "top_k", -1, 1 << 20));
  // 0 and -1 mean: all.
  if (top_k && *top_k >= 1) hints.top_k = static_cast<int32_t>(*top_k);
  return hints;
}

}  // namespace millrace::model
