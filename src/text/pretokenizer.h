// The pre-tokenizer steps of a tokenizer, compiled: normalized text to the pieces within which the model works.
//
// Reference: the Python package `tokenizers`. Each step cuts every piece of the step before; a step sees only its piece, so "end of text" in a
// look-ahead is the end of the piece. Pieces are text: what ByteLevelSplit makes is not spelled in the alphabet of bytes. Only where steps that
// tell characters apart come after it (they see that alphabet) may a piece begin or end within a character. Work is linear in the text
// for the patterns of known models; an unknown pattern works under limits.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/tokenizer_spec.h"

namespace millrace::text {

// Immutable, thread-safe.
class PreTokenizer {
 public:
  // kUnsupported or kInvalidArgument naming the step and its pattern.
  static Result<std::unique_ptr<const PreTokenizer>> Create(std::span<const PreTokenizerStep> steps);
  ~PreTokenizer();

  // Takes one piece (not empty, valid during the call; not always a part of the text); false stops the search.
  using Take = bool (*)(void* context, std::string_view piece);

  // Hands out the pieces of `text` (well-formed UTF-8) in order. `at_start`: the text begins where the whole text begins, which
  // PrependScheme::kFirst asks for. kResourceExhausted when memory or a match limit (proportional to the text) is passed.
  template <typename F>
  Status Split(std::string_view text, bool at_start, F take) const {
    return SplitWith(
        text, at_start, [](void* context, std::string_view piece) { return (*static_cast<F*>(context))(piece); }, &take);
  }

  class Step;  // of the implementation

 private:
  PreTokenizer();
  Status SplitWith(std::string_view text, bool at_start, Take take, void* context) const;
  std::vector<std::unique_ptr<const Step>> steps_;
};

// More steps than this are refused.
inline constexpr size_t kMaxPreTokenizerSteps = 32;

}  // namespace millrace::text
