// The normalizer steps of a tokenizer, compiled: text to the text that pre-tokenizers and model see.
//
// Reference: the Python package `tokenizers`, and SentencePiece for CompiledRules with by_grapheme off and SentencePieceSpaces. Work is linear in
// the text, whatever it holds (a million combining marks too). Immutable and thread-safe.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/tokenizer_spec.h"

namespace millrace::text {

class Normalizer {
 public:
  // kInvalidArgument or kUnsupported naming the step for rules that are damaged or patterns that text/pattern.h refuses.
  static Result<std::unique_ptr<const Normalizer>> Create(std::span<const NormalizerStep> steps);
  ~Normalizer();

  // Without steps text may be used as it is.
  bool empty() const;

  struct Output {
    std::string text;
    bool starts_at_start =
        true;  // the first byte left comes from the first code point of the input (kFirst of PrependScheme asks)
  };
  // `text` is well-formed UTF-8 and so is the result. kResourceExhausted where it would grow beyond kMaxNormalizedGrowth times the input.
  Result<Output> Apply(std::string_view text) const;

 private:
  class Step;
  Normalizer();
  std::vector<std::unique_ptr<const Step>> steps_;
};

// U+FDFA becomes 18 code points (33 bytes of 3) under NFKC; a file's own replacements are bounded by it too, beyond the first KiB.
inline constexpr size_t kMaxNormalizedGrowth = 64;

}  // namespace millrace::text
