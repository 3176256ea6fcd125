// The tree of a regular expression in Oniguruma's syntax (Ruby flavour), with every class resolved to a set of code points.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/code_point_set.h"

namespace millrace::text {

inline constexpr uint32_t kUnbounded = UINT32_MAX;

enum class PatternAssert : uint8_t {
  kTextBegin,
  kTextEnd,
  kTextEndOrLastNewline,
  kLineBegin,
  kLineEnd,
  kWordBorder,
  kNoWordBorder
};

struct PatternNode {
  enum class Kind : uint8_t { kSet, kSequence, kAlternatives, kRepeat, kAtomic, kLook, kAssert };
  enum class Mode : uint8_t { kGreedy, kLazy, kPossessive };
  Kind kind = Kind::kSequence;     // an empty sequence matches nothing
  uint32_t set = 0;                // kSet: index into PatternSyntax::sets
  std::vector<uint32_t> children;  // one for kRepeat, kAtomic, kLook
  uint32_t min = 0;                // kRepeat
  uint32_t max = kUnbounded;
  Mode mode = Mode::kGreedy;
  bool behind = false;  // kLook
  bool negative = false;
  PatternAssert assertion = PatternAssert::kTextBegin;
  uint32_t shortest = 0;  // code points of its shortest and longest match
  uint32_t longest = 0;
};

struct PatternSyntax {
  std::vector<PatternNode> nodes;  // children before parents; the last one is the root
  std::vector<CodePointSet> sets;
};

// "pattern '…', character 12: …" for what is not well-formed or not understood.
Result<PatternSyntax> ParsePattern(std::string_view pattern);

}  // namespace millrace::text
