// SentencePiece's compiled replacement rules ("precompiled_charsmap"): a 32-bit size in bytes of a double array (Darts-clone), the array, then the
// replacements, each up to a NUL byte or the end. All of it is data from a stranger: it is walked and checked once, in Create.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace millrace::text {

// Immutable, thread-safe.
class ReplacementRules {
 public:
  // kDataLoss where the array has a cycle, a state or replacement out of range, or a replacement that is not UTF-8; kUnsupported for keys of more
  // than kMaxRuleBytes.
  static Result<ReplacementRules> Create(std::string_view rules);

  struct Match {
    size_t length;  // bytes of the text
    std::string_view replacement;
  };
  // Of the keys that `text` begins with. No key holds a NUL byte.
  std::optional<Match> Shortest(std::string_view text) const { return Find(text, true); }
  std::optional<Match> Longest(std::string_view text) const { return Find(text, false); }

 private:
  ReplacementRules() = default;
  Status Check();
  Status CheckReplacement(uint32_t begin, const std::vector<uint8_t>& whole);
  std::optional<Match> Find(std::string_view text, bool shortest) const;
  // Children of the state at a unit are at Base(unit) ^ byte.
  std::optional<uint32_t> Child(uint32_t base, uint8_t byte) const;
  static uint32_t Offset(uint32_t unit) { return (unit >> 10) << ((unit & (1U << 9)) >> 6); }
  static bool HasReplacement(uint32_t unit) { return ((unit >> 8) & 1) != 0; }

  std::vector<uint32_t> units_;
  std::string replacements_;
};

// The longest key of the rules that SentencePiece ships has 15 bytes. It bounds the work for each byte of text.
inline constexpr size_t kMaxRuleBytes = 64;

}  // namespace millrace::text
