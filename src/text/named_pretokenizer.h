// Cuts text into the pieces within which BPE may merge, by the regular expressions that belong to a pre-tokenizer's name.
//
// A pre-tokenizer is a list of stages. Each stage cuts every piece of the stage before into its matches and what lies between
// them; a stage sees only its piece, so "end of text" in a look-ahead is the end of the piece. Patterns run in PCRE2 (JIT where
// the system grants it) with \p{L}, \p{N}, \p{P}, \s and \S written out as ranges of text/pattern_classes.h, because the Unicode
// version of the library is neither ours nor known.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace millrace::text {

class NamedPreTokenizer {
 public:
  // The names are those of GGUF's "tokenizer.ggml.pre": "smollm", "gpt-2", "llama-bpe", "default" and those that mean the same.
  // kUnsupported, listing the names, for any other.
  static Result<std::unique_ptr<const NamedPreTokenizer>> Create(std::string_view name);

  // The name of the pre-tokenizer with exactly these stages, for files that spell out their patterns (as the Python package
  // `tokenizers` writes them). kUnsupported, showing the patterns, when there is none.
  static Result<std::string_view> NameOf(std::span<const std::string> patterns, bool whole_words_first);

  // The other way round: the patterns of a name that Create takes.
  struct Stages {
    std::vector<std::string> patterns;
    bool whole_words_first = false;
  };
  static Result<Stages> StagesOf(std::string_view name);

  ~NamedPreTokenizer();
  NamedPreTokenizer(const NamedPreTokenizer&) = delete;
  NamedPreTokenizer& operator=(const NamedPreTokenizer&) = delete;

  // Hands the pieces of `text` (well-formed UTF-8) to `take` in order; together they are the text, none is empty. Stops early
  // when `take` returns false. Linear in the text: each stage reads on from where its last match ended. Thread-safe.
  // kResourceExhausted when memory or the match limit (proportional to the text) is passed.
  Status Split(std::string_view text, const std::function<bool(std::string_view)>& take) const;

  // The model takes a piece that is a token as it stands, even where its merges would not lead there.
  bool whole_words_first() const { return whole_words_first_; }

 private:
  class Stage;
  class Run;
  NamedPreTokenizer();
  std::vector<std::unique_ptr<const Stage>> stages_;
  bool whole_words_first_ = false;
};

}  // namespace millrace::text
