// The normalizer steps of a tokenizer, compiled: text to the text that pre-tokenizers and model see.
//
// Reference: the Python package `tokenizers` 0.23.3 with its own tables (normal forms: Unicode 9; text/normalizer_classes.h), and SentencePiece for
// CompiledRules with by_grapheme off and SentencePieceSpaces. Exact for every code point that Unicode 18 or an older version assigns. Work is
// linear in the text, whatever it holds (a million combining marks too). Immutable and thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/tokenizer_spec.h"

namespace millrace::text {

class TextRewriter;
struct StepScratch;

// A normalized text is not longer than this, whatever the text.
inline constexpr size_t kMaxNormalizedBytes = (size_t{1} << 30) - 1;
// Bytes that a normalized text may have beyond kMaxNormalizedGrowth times its own.
inline constexpr size_t kFreeNormalizedGrowth = 1024;

class Normalizer {
 public:
  // kInvalidArgument, kDataLoss or kUnsupported naming the step for rules that are damaged, patterns that text/pattern.h refuses, an empty
  // pattern, and Prepend without text.
  static Result<std::unique_ptr<const Normalizer>> Create(std::span<const NormalizerStep> steps);
  ~Normalizer();

  // Without steps text may be used as it is.
  bool empty() const { return steps_.empty(); }

  struct Output {
    std::string text;
    // Bytes at the front of `text` that count as made from the first code point of the input: a part of `text` that begins among them begins where
    // the input begins (kFirst of PrependScheme asks). 0 where Strip took the first code point away.
    size_t from_first = 0;
  };
  // `text` is well-formed UTF-8 and so is the result. kResourceExhausted where it would grow beyond kMaxNormalizedGrowth times the input and the
  // first KiB, or beyond kMaxNormalizedBytes, or a pattern takes too much work; kUnsupported where a pattern matches nothing at the start and something is to be put there.
  Result<Output> Apply(std::string_view text) const;

  // What the parts of one text share: the limits above hold for all of them together. One thread.
  class Pass {
   public:
    explicit Pass(const Normalizer& normalizer);  // which outlives it
    ~Pass();
    Result<Output> Apply(std::string_view part);

   private:
    const Normalizer& normalizer_;
    std::vector<StepScratch> scratch_;  // by step
    size_t free_growth_ = kFreeNormalizedGrowth;
  };

 private:
  Normalizer();
  std::vector<std::unique_ptr<const TextRewriter>> steps_;
};

// U+FDFA becomes 18 code points (33 bytes of 3) under NFKC; a file's own replacements are bounded by it too, beyond the first KiB.
inline constexpr size_t kMaxNormalizedGrowth = 64;

}  // namespace millrace::text
