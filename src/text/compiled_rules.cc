#include "text/compiled_rules.h"

#include <algorithm>
#include <cstring>

#include "base/utf8.h"

namespace millrace::text {

namespace {

constexpr size_t kUnitBytes = 4;
constexpr uint32_t kValueMask = (1U << 31) - 1;
constexpr uint32_t kLabelMask = (1U << 31) | 0xFF;  // a value's unit has the top bit, so it is no byte's

uint32_t ReadUnit(std::string_view bytes, size_t index) {
  uint32_t unit = 0;
  for (size_t i = 0; i < kUnitBytes; ++i) unit |= uint32_t{static_cast<uint8_t>(bytes[index * kUnitBytes + i])} << (8 * i);
  return unit;
}

Status KeyTooLong() { return Error(Code::kUnsupported, "compiled rules: a key of more than {} bytes", kMaxRuleBytes); }

// For each byte of `text`: 1 where the bytes from it up to the next NUL are well-formed UTF-8.
std::vector<uint8_t> WellFormedFrom(std::string_view text) {
  std::vector<uint8_t> whole(text.size() + 1, 1);
  for (size_t i = text.size(); i-- > 0;) {
    if (text[i] == '\0') continue;
    const size_t length = Utf8SequenceLength(text.substr(i));
    whole[i] = length > 0 && whole[i + length] != 0 ? 1 : 0;
  }
  return whole;
}

}  // namespace

Result<ReplacementRules> ReplacementRules::Create(std::string_view rules) {
  if (rules.size() < kUnitBytes) return Error(Code::kDataLoss, "compiled rules: expected at least 4 bytes, got {}", rules.size());
  const uint32_t bytes = ReadUnit(rules, 0);
  rules.remove_prefix(kUnitBytes);
  if (bytes == 0 || bytes % kUnitBytes != 0 || bytes > rules.size()) {
    return Error(Code::kDataLoss, "compiled rules: trie of {} bytes, expected a multiple of 4 and at most the {} bytes there are",
                 bytes, rules.size());
  }
  ReplacementRules made;
  made.units_.reserve(bytes / kUnitBytes);
  for (size_t i = 0; i < bytes / kUnitBytes; ++i) made.units_.push_back(ReadUnit(rules, i));
  made.replacements_ = rules.substr(bytes);
  RETURN_IF_ERROR(made.Check());
  return made;
}

Status ReplacementRules::CheckReplacement(uint32_t begin, const std::vector<uint8_t>& whole) {
  if (begin >= whole.size()) {
    return Error(Code::kDataLoss, "compiled rules: a replacement at byte {} of {}", begin, replacements_.size());
  }
  if (whole[begin] == 0) return Error(Code::kDataLoss, "compiled rules: the replacement at byte {} is not UTF-8", begin);
  return {};
}

std::optional<uint32_t> ReplacementRules::Child(uint32_t base, uint8_t byte) const {
  const uint32_t place = base ^ byte;
  if (byte == 0 || place >= units_.size() || (units_[place] & kLabelMask) != byte) return std::nullopt;
  return place;
}

// Depth first over the states that the root reaches. States may share children (the array is made from a graph), but a state within itself is a cycle.
Status ReplacementRules::Check() {
  constexpr uint8_t kNew = 0;
  constexpr uint8_t kOpen = 1;
  constexpr uint8_t kDone = 2;
  struct Step {
    uint32_t state;
    uint32_t base;
    uint32_t next_byte;
  };
  const std::vector<uint8_t> whole = WellFormedFrom(replacements_);
  std::vector<uint8_t> marks(units_.size(), kNew);
  std::vector<uint8_t> heights(units_.size(), 0);  // bytes of the longest key below a state that is done
  std::vector<Step> path;
  std::vector<uint32_t> found = {0};  // at most one: the state to enter next
  while (!found.empty() || !path.empty()) {
    if (!found.empty()) {
      const uint32_t state = found.back();
      found.pop_back();
      const uint32_t base = state ^ Offset(units_[state]);
      if (base >= units_.size())
        return Error(Code::kDataLoss, "compiled rules: state {} leads to {} of {}", state, base, units_.size());
      if (HasReplacement(units_[state])) RETURN_IF_ERROR(CheckReplacement(units_[base] & kValueMask, whole));
      marks[state] = kOpen;
      path.push_back({state, base, 1});
      if (path.size() > kMaxRuleBytes + 1) return KeyTooLong();
    }
    Step& step = path.back();
    std::optional<uint32_t> child;
    while (!child && step.next_byte <= UINT8_MAX) child = Child(step.base, static_cast<uint8_t>(step.next_byte++));
    if (child && marks[*child] == kOpen)
      return Error(Code::kDataLoss, "compiled rules: state {} leads back to state {}", step.state, *child);
    if (child && marks[*child] == kNew) {
      found.push_back(*child);
      continue;
    }
    const size_t height = child ? size_t{heights[*child]} + 1 : 0;
    if (child) heights[step.state] = static_cast<uint8_t>(std::max<size_t>(heights[step.state], height));
    if (path.size() + height > kMaxRuleBytes + 1) return KeyTooLong();
    if (child) continue;
    marks[step.state] = kDone;
    const uint8_t below = heights[step.state];
    path.pop_back();
    if (!path.empty()) heights[path.back().state] = static_cast<uint8_t>(std::max<int>(heights[path.back().state], below + 1));
  }
  return {};
}

std::optional<ReplacementRules::Match> ReplacementRules::Find(std::string_view text, bool shortest) const {
  size_t length = 0;
  uint32_t value = 0;
  uint32_t base = Offset(units_[0]);
  for (size_t i = 0; i < text.size() && !(shortest && length > 0); ++i) {
    const auto place = Child(base, static_cast<uint8_t>(text[i]));
    if (!place) break;
    base = *place ^ Offset(units_[*place]);
    if (!HasReplacement(units_[*place])) continue;
    length = i + 1;
    value = units_[base] & kValueMask;
  }
  if (length == 0) return std::nullopt;
  const std::string_view from = std::string_view(replacements_).substr(value);
  return Match{length, from.substr(0, from.find('\0'))};
}

}  // namespace millrace::text
