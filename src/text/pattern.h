// Regular expressions of model files, run by PCRE2 so that they match as the Python package `tokenizers` (Oniguruma) matches them.
//
// Only syntax whose meaning is the same in both is taken: literals, escapes, classes (with && where it can be resolved, and negation), \s \S \d \D
// \w \W \p{..} \P{..} with every class written out as ranges of text/pattern_classes.h (one stated Unicode version), groups, (?i: ), (?: ), look-around,
// alternation, greedy, lazy and possessive quantifiers, anchors. Everything else is refused by name and place, never approximated.
// Matching works under match, depth and heap limits: a pattern is a program from a stranger.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "base/status.h"

namespace millrace::text {

// Immutable, thread-safe.
class CompiledPattern {
 public:
  // kUnsupported or kInvalidArgument: "pattern '…', character 12: expected …". At most kMaxPatternBytes.
  static Result<std::unique_ptr<const CompiledPattern>> Compile(std::string_view pattern);
  ~CompiledPattern();

  struct Match {
    size_t begin = 0;
    size_t end = 0;
  };
  // State of one pass over one text; one thread.
  class Search;
  std::unique_ptr<Search> NewSearch(std::string_view text) const;

 private:
  struct Code;
  CompiledPattern();
  std::unique_ptr<const Code> code_;
};

class CompiledPattern::Search {
 public:
  virtual ~Search() = default;
  // The first match at or after byte `from`; empty matches are skipped. kResourceExhausted above the limits (proportional to the text).
  virtual Result<std::optional<Match>> Next(size_t from) = 0;
};

inline constexpr size_t kMaxPatternBytes = 4096;

}  // namespace millrace::text
