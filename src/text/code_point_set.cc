#include "text/code_point_set.h"

#include <algorithm>

namespace millrace::text {

void CodePointSet::Add(const CodePointSet& other) {
  std::vector<CodePointRange> all(ranges_.size() + other.ranges_.size());
  const auto by_first = [](const CodePointRange& a, const CodePointRange& b) { return a.first < b.first; };
  std::ranges::merge(ranges_, other.ranges_, all.begin(), by_first);
  ranges_.clear();
  for (const CodePointRange& range : all) {
    if (!ranges_.empty() && range.first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    } else {
      ranges_.push_back(range);
    }
  }
}

void CodePointSet::Complement() {
  std::vector<CodePointRange> out;
  uint32_t next = 0;
  for (const CodePointRange& range : ranges_) {
    if (range.first > next) out.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCodePoint) out.push_back({next, kLastCodePoint});
  ranges_ = std::move(out);
}

void CodePointSet::KeepOnly(const CodePointSet& other) {
  CodePointSet outside = other;
  outside.Complement();
  Complement();
  Add(outside);
  Complement();
}

bool CodePointSet::Contains(uint32_t code) const {
  const auto after = std::ranges::upper_bound(ranges_, code, {}, &CodePointRange::first);
  return after != ranges_.begin() && std::prev(after)->last >= code;
}

}  // namespace millrace::text
