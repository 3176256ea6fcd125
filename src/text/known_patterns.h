// Scanners written by hand for the patterns that most models use, recognised by their text. Each finds exactly what text/pattern.h finds, an order of
// magnitude faster, in one pass.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace millrace::text {

struct PatternSpan {
  size_t begin = 0;
  size_t end = 0;  // as `begin` (the end of the text) when there is none
};
// The first match at or after byte `from` of well-formed UTF-8, where the match before it ended.
using PatternScanner = PatternSpan (*)(std::string_view text, size_t from);

struct KnownPattern {
  std::string_view pattern;
  PatternScanner scan;
};

// One for each text; several texts may mean the same.
std::span<const KnownPattern> KnownPatterns();

// Null when the pattern is not known.
PatternScanner FindScanner(std::string_view pattern);

inline constexpr std::string_view kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace millrace::text
