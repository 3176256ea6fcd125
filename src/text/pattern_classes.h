// Code points of the classes that pre-tokenizers and their patterns name, as ascending ranges with gaps between them. Properties (\p{..}) are of
// the one Unicode version kPatternUnicodeVersion; code points that are newer than it belong to \p{Cn} only.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace millrace::text {

struct CodePointRange {
  uint32_t first;
  uint32_t last;  // inclusive
  bool operator==(const CodePointRange&) const = default;
};

struct NamedRanges {
  std::string_view name;
  std::span<const CodePointRange> ranges;
};

#include "text/pattern_classes.inc"

}  // namespace millrace::text
