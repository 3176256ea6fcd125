// Regular expressions of model files, matched as the Python package `tokenizers` (Oniguruma in its Ruby flavour) matches them.
//
// Taken: literals, escapes (\n \t \x{..} \u.... and escaped punctuation), classes with ranges, nesting, && and negation, \s \d \w \h \p{..} and their
// opposites, by the tables of text/pattern_classes.h, groups, (?i: ) and (?i) on ASCII letters, look-ahead, look-behind of fixed length, atomic groups,
// alternation, greedy, lazy and possessive repeats (in this syntax x{1,3}+ is (?:x{1,3})+), . ^ $ (both at lines) \A \z \Z \b \B. Everything else is
// refused by name and place, never approximated.
//
// A pattern is a program from a stranger, and the text is from another. Matching backtracks as Oniguruma does, but remembers what has failed where as
// soon as it works more than the text warrants: with no back-references in the language, what can follow depends on place alone. So work is linear in
// the text for every pattern without atomic groups over more than one class, and those stop at a limit.
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
  // State of one pass over one text at a time; one thread. The pattern outlives it.
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
  // Begins with another text (well-formed UTF-8, valid until the next Reset), keeping memory. The limit on work grows by what the text allows:
  // all texts of a search share it, so that many short ones allow no more than one long one.
  virtual void Reset(std::string_view text) = 0;
  // The first match at or after byte `from`, which is 0 or the end of the match before. A match may be empty, but not where the match before it ended.
  // kResourceExhausted above the limits on work and memory (proportional to the texts so far).
  virtual Result<std::optional<Match>> Next(size_t from) = 0;
};

inline constexpr size_t kMaxPatternBytes = 4096;

}  // namespace millrace::text
