// What the names of "tokenizer.ggml.pre" stand for. GGUF names a model's text steps; the steps themselves are those of the model authors' own
// tokenizer.json where that is known (other engines rewrite its patterns and leave its normalizer out), else the patterns that go by the name.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/tokenizer_spec.h"

namespace millrace::model {

struct GgufTextSteps {
  std::vector<text::NormalizerStep> normalizers;
  std::vector<text::PreTokenizerStep> pre_tokenizers;
  bool byte_level = true;  // tokens are spelled in the alphabet of bytes; else as text, with byte tokens for what has no token
  bool ignore_merges = false;  // a piece that is a token is taken whole
};

// kUnsupported, listing the names, for one that is not known. A file without the name has "default".
Result<GgufTextSteps> TextStepsOfGguf(std::string_view name);

}  // namespace millrace::model
