// A regular expression as a program over classes of characters: the code points that no set of the pattern tells apart are one class (at most 256),
// so a set is 256 bits and a test costs the same whatever the set holds.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "text/code_point_table.h"
#include "text/pattern_syntax.h"

namespace millrace::text {

using ClassBits = std::bitset<256>;

struct PatternInstruction {
  enum class Op : uint8_t {
    kSet,     // one character of `set`
    kStar,    // any number of characters of `set`, by `mode`
    kSplit,   // first `next`, then `other`
    kJump,    // to `next`
    kAssert,  // `assertion`
    kLook,    // the program at `other` as far as its kAccept, here (or `behind` characters before), then `next`
    kAtomic,  // the program at `other` as far as its kAccept, once, then `next`
    kAccept,
  };
  Op op = Op::kAccept;
  PatternNode::Mode mode = PatternNode::Mode::kGreedy;
  PatternAssert assertion = PatternAssert::kTextBegin;
  bool negative = false;
  bool in_look = false;  // the innermost program around it is that of a kLook: only success or failure counts
  uint32_t set = 0;
  uint32_t next = 0;
  uint32_t other = 0;
  uint32_t behind = 0;
  uint32_t state = 0;  // number among the instructions that choose (kStar, kSplit, kAtomic)
};

// The classes of the next character with which an instruction may succeed: too many rather than too few.
struct PatternFirst {
  ClassBits classes;
  bool any = false;  // whatever comes next, the end of the text included
  bool operator==(const PatternFirst&) const = default;
};

struct PatternProgram {
  std::vector<PatternInstruction> code;  // begins at 0
  std::vector<PatternFirst> firsts;      // by instruction
  std::vector<ClassBits> sets;
  ClassBits word;          // \w, for borders
  CodePointTable classes;  // of each code point
  uint32_t states = 0;
};

// kUnsupported for a pattern that would become more than 20,000 instructions or tells more than 256 classes apart.
Result<PatternProgram> BuildProgram(PatternSyntax syntax);

}  // namespace millrace::text
