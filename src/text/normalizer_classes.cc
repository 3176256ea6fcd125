#include "text/normalizer_classes.h"

#include <algorithm>
#include <span>

#include "text/pattern_classes.h"

namespace millrace::text {

namespace {

struct LowerPair {
  uint32_t upper;
  uint32_t lower;
};
struct ClusterRange {
  uint32_t first;
  uint32_t last;
  ClusterKind kind;
};

#include "text/normalizer_classes.inc"

template <typename Range>
const Range* RangeOf(std::span<const Range> ranges, char32_t code) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), code,
                                      [](char32_t wanted, const Range& range) { return wanted < range.first; });
  if (after == ranges.begin() || code > (after - 1)->last) return nullptr;
  return &*(after - 1);
}

bool Contains(std::span<const CodePointRange> ranges, char32_t code) { return RangeOf(ranges, code) != nullptr; }

constexpr char32_t kFirstHangulSyllable = 0xAC00;
constexpr char32_t kLastHangulSyllable = 0xD7A3;
constexpr char32_t kHangulTails = 28;

}  // namespace

bool IsWhiteSpace(char32_t code) {
  if (code < 0x80) return code == ' ' || (code >= '\t' && code <= '\r');
  return Contains(kWhiteSpaceRanges, code);
}

bool IsWordCharacter(char32_t code) {
  if (code < 0x80)
    return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || (code >= '0' && code <= '9') || code == '_';
  return Contains(kWhitespaceStepWordRanges, code);
}

bool IsMark(char32_t code) { return code >= kMarks[0].first && Contains(kMarks, code); }

bool IsNonspacingMark(char32_t code) { return code >= kBertMarks[0].first && Contains(kBertMarks, code); }

bool IsControlForBert(char32_t code) { return Contains(kBertRemoved, code); }

bool IsIdeographForBert(char32_t code) {
  if (code < 0x3400) return false;
  return code <= 0x4DBF || (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0xF900 && code <= 0xFAFF) ||
         (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
         (code >= 0x2F800 && code <= 0x2FA1F);
}

bool IsInertForNormalForms(char32_t code) { return code >= kInert[0].first && Contains(kInert, code); }

std::optional<char32_t> NewerLowerCase(char32_t code) {
  if (code < kLowerPairs[0].upper) return std::nullopt;
  const std::span<const LowerPair> pairs = kLowerPairs;
  const auto found = std::lower_bound(pairs.begin(), pairs.end(), code,
                                      [](const LowerPair& pair, char32_t wanted) { return pair.upper < wanted; });
  if (found == pairs.end() || found->upper != code) return std::nullopt;
  return found->lower;
}

ClusterKind ClusterKindOf(char32_t code) {
  if (code >= kFirstHangulSyllable && code <= kLastHangulSyllable) {
    return (code - kFirstHangulSyllable) % kHangulTails == 0 ? ClusterKind::kLv : ClusterKind::kLvt;
  }
  const ClusterRange* range = RangeOf(std::span<const ClusterRange>(kClusterRanges), code);
  return range == nullptr ? ClusterKind::kOther : range->kind;
}

}  // namespace millrace::text
