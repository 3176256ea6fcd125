// Code points of the classes that pre-tokenizer patterns name, as ascending ranges, of the one Unicode version
// kPatternUnicodeVersion. Code points that are newer than it belong to no class.
#pragma once

#include <cstdint>

namespace millrace::text {

struct CodePointRange {
  uint32_t first;
  uint32_t last;  // inclusive
};

#include "text/pattern_classes.inc"

}  // namespace millrace::text
