#include "text/token_matcher.h"

#include <algorithm>

namespace millrace::text {

namespace {

constexpr size_t kWindow = 16'384;  // bytes

// Byte `depth` of `text` read backwards.
uint8_t FromEnd(std::string_view text, size_t depth) { return static_cast<uint8_t>(text[text.size() - 1 - depth]); }

bool BackwardsBefore(std::string_view a, std::string_view b) {
  return std::lexicographical_compare(a.rbegin(), a.rend(), b.rbegin(), b.rend(),
                                      [](char x, char y) { return static_cast<uint8_t>(x) < static_cast<uint8_t>(y); });
}

}  // namespace

TokenMatcher::TokenMatcher(std::vector<Entry> entries) : states_(1) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.text == b.text ? a.token < b.token : BackwardsBefore(a.text, b.text);
  });
  for (const Entry& entry : entries) longest_ = std::max(longest_, entry.text.size());
  BuildStates(entries);
  BuildFallbacks();
}

// States come out in ascending depth, the edges of each side by side.
void TokenMatcher::BuildStates(const std::vector<Entry>& entries) {
  struct Range {  // entries [begin, end) share their last `depth` bytes, which lead to `state`
    uint32_t state;
    size_t begin, end, depth;
  };
  std::vector<Range> open = {{0, 0, entries.size(), 0}};
  for (size_t i = 0; i < open.size(); ++i) {
    Range range = open[i];
    // Sorted: the entries that are over here come first.
    for (; range.begin < range.end && entries[range.begin].text.size() == range.depth; ++range.begin) {
      State& state = states_[range.state];
      if (range.depth == 0 || state.token != kNoToken) continue;
      state.token = entries[range.begin].token;
      state.length = static_cast<uint32_t>(range.depth);
    }
    states_[range.state].first_edge = static_cast<uint32_t>(edges_.size());
    while (range.begin < range.end) {
      const uint8_t byte = FromEnd(entries[range.begin].text, range.depth);
      size_t end = range.begin;
      while (end < range.end && FromEnd(entries[end].text, range.depth) == byte) ++end;
      const auto child = static_cast<uint32_t>(states_.size());
      states_.emplace_back();
      edges_.push_back({byte, child});
      ++states_[range.state].edges;
      if (range.depth == 0) roots_[byte] = child;
      open.push_back({child, range.begin, end, range.depth + 1});
      range.begin = end;
    }
  }
}

void TokenMatcher::BuildFallbacks() {
  for (uint32_t parent = 0; parent < states_.size(); ++parent) {
    for (uint32_t i = 0; i < states_[parent].edges; ++i) {
      const Edge edge = edges_[states_[parent].first_edge + i];
      State& child = states_[edge.state];
      child.fallback = parent == 0 ? 0 : Next(states_[parent].fallback, edge.byte);
      if (child.token != kNoToken) continue;  // an entry that is the whole state is longer than any that is its beginning
      child.token = states_[child.fallback].token;
      child.length = states_[child.fallback].length;
    }
  }
}

uint32_t TokenMatcher::Child(uint32_t state, uint8_t byte) const {
  if (state == 0) return roots_[byte];
  const auto first = edges_.begin() + states_[state].first_edge;
  const auto last = first + states_[state].edges;
  const auto found = std::lower_bound(first, last, byte, [](const Edge& edge, uint8_t wanted) { return edge.byte < wanted; });
  return found == last || found->byte != byte ? 0 : found->state;
}

uint32_t TokenMatcher::Next(uint32_t state, uint8_t byte) const {
  for (;;) {
    if (const uint32_t child = Child(state, byte); child != 0) return child;
    if (state == 0) return 0;
    state = states_[state].fallback;
  }
}

std::optional<TokenMatcher::Match> TokenMatcher::Search::Next() {
  for (;;) {
    while (!begins_.empty()) {
      const Match match = begins_.back();
      begins_.pop_back();
      if (match.begin < from_) continue;
      from_ = match.end;
      return match;
    }
    read_ = std::max(read_, from_);
    if (read_ >= text_.size()) return std::nullopt;
    ReadWindow();
  }
}

// Reads as far behind the window as an entry that begins in it may reach. That is never more than the window, so work stays linear.
void TokenMatcher::Search::ReadWindow() {
  const size_t end = read_ + std::min(std::max(kWindow, matcher_.longest_), text_.size() - read_);
  uint32_t state = 0;
  for (size_t i = end + std::min(matcher_.longest_, text_.size() - end); i-- > read_;) {
    state = matcher_.Next(state, static_cast<uint8_t>(text_[i]));
    const State& reached = matcher_.states_[state];
    if (i < end && state != 0 && reached.length != 0) begins_.push_back({i, i + reached.length, reached.token});
  }
  read_ = end;
}

}  // namespace millrace::text
