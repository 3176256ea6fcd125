#include "base/utf8.h"

#include <algorithm>

namespace millrace {

namespace {

struct LeadRule {
  uint8_t length;      // 0 = not a lead byte
  uint8_t second_low;  // allowed range of the second byte
  uint8_t second_high;
};

constexpr LeadRule RuleFor(uint8_t lead) {
  if (lead < 0x80) return {1, 0, 0};
  if (lead < 0xC2) return {0, 0, 0};
  if (lead < 0xE0) return {2, 0x80, 0xBF};
  if (lead == 0xE0) return {3, 0xA0, 0xBF};
  if (lead == 0xED) return {3, 0x80, 0x9F};
  if (lead < 0xF0) return {3, 0x80, 0xBF};
  if (lead == 0xF0) return {4, 0x90, 0xBF};
  if (lead < 0xF4) return {4, 0x80, 0xBF};
  if (lead == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

uint8_t Byte(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

// How many bytes at the start of `text` agree with a well-formed sequence, and how long that sequence would be.
struct Match {
  size_t matched;
  size_t length;
};

Match MatchSequence(std::string_view text) {
  if (text.empty()) return {0, 0};
  const LeadRule rule = RuleFor(Byte(text, 0));
  if (rule.length == 0) return {0, 0};
  size_t matched = 1;
  while (matched < rule.length && matched < text.size()) {
    const uint8_t low = matched == 1 ? rule.second_low : 0x80;
    const uint8_t high = matched == 1 ? rule.second_high : 0xBF;
    if (Byte(text, matched) < low || Byte(text, matched) > high) break;
    ++matched;
  }
  return {matched, rule.length};
}

}  // namespace

size_t Utf8SequenceLength(std::string_view text) {
  const Match match = MatchSequence(text);
  return match.matched == match.length ? match.length : 0;
}

bool Utf8IsIncomplete(std::string_view text) {
  const Match match = MatchSequence(text);
  return match.matched > 0 && match.matched < match.length && match.matched == text.size();
}

bool Utf8IsValid(std::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::optional<CodePoint> Utf8Decode(std::string_view text) {
  const size_t length = Utf8SequenceLength(text);
  if (length == 0) return std::nullopt;
  char32_t value = Byte(text, 0);
  if (length > 1) value &= 0xFFU >> (length + 1);
  for (size_t i = 1; i < length; ++i) value = (value << 6) | (Byte(text, i) & 0x3FU);
  return CodePoint{value, length};
}

void Utf8Append(char32_t code_point, std::string& out) {
  const auto put = [&out](char32_t byte) { out += static_cast<char>(static_cast<uint8_t>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | (code_point >> 6));
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | (code_point >> 12));
    put(0x80 | ((code_point >> 6) & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | (code_point >> 18));
    put(0x80 | ((code_point >> 12) & 0x3F));
    put(0x80 | ((code_point >> 6) & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

std::string Utf8Sanitize(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Match match = MatchSequence(text);
    if (match.matched == match.length && match.length > 0) {
      out.append(text.substr(0, match.length));
      text.remove_prefix(match.length);
    } else {
      out += "\xEF\xBF\xBD";
      text.remove_prefix(std::max<size_t>(match.matched, 1));
    }
  }
  return out;
}

}  // namespace millrace
