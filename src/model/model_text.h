// What a model's files say about text, whichever form they have: vocabulary, and how its maker samples. Chat templates are in
// chat_template_source.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/status.h"
#include "model/model_source.h"
#include "model/named_file.h"
#include "text/tokenizer_spec.h"

namespace millrace::model {

// tokenizer.ggml.* of a GGUF file, tokenizer.json of a directory; text::Vocabulary::Build checks what is inside. `vocab` is the number of
// rows of the embedding; nothing: as many as the file has tokens (for files without weights). kNotFound without a tokenizer.
Result<text::TokenizerSpec> TokenizerSpecOf(const ModelSource& source, std::optional<uint32_t> vocab);

// Of a directory without weights: tokenizer.json and the small files beside it. config.json may be missing; it says how many rows there are.
Result<text::TokenizerSpec> TokenizerSpecOfFiles(std::span<const NamedFile> files);

// generation_config.json; absent where the file or the member is.
struct SamplingHints {
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<int32_t> top_k;
  std::optional<float> repetition_penalty;
};
// kInvalidArgument for values that no sampler takes.
Result<SamplingHints> SamplingOf(const ModelSource& source);

}  // namespace millrace::model
