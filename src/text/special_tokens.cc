#include "text/special_tokens.h"

#include <algorithm>
#include <tuple>

namespace millrace::text {

SpecialTokens::SpecialTokens(std::vector<Entry> entries) : nodes_(1) {
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.text, a.token) < std::tie(b.text, b.token); });
  // Entries [begin, end) share their first `depth` bytes, which lead to `node`.
  struct Range {
    uint32_t node;
    size_t begin, end, depth;
  };
  std::vector<Range> open = {{0, 0, entries.size(), 0}};
  for (size_t i = 0; i < open.size(); ++i) {
    Range range = open[i];
    // Sorted: the entries that end here come first.
    for (; range.begin < range.end && entries[range.begin].text.size() == range.depth; ++range.begin) {
      if (range.depth > 0 && nodes_[range.node].token == kNoToken) nodes_[range.node].token = entries[range.begin].token;
    }
    nodes_[range.node].first_edge = static_cast<uint32_t>(edges_.size());
    while (range.begin < range.end) {
      const auto byte = static_cast<uint8_t>(entries[range.begin].text[range.depth]);
      size_t end = range.begin;
      while (end < range.end && static_cast<uint8_t>(entries[end].text[range.depth]) == byte) ++end;
      const auto child = static_cast<uint32_t>(nodes_.size());
      nodes_.emplace_back();
      edges_.push_back({byte, child});
      ++nodes_[range.node].edges;
      if (range.depth == 0) roots_[byte] = child;
      open.push_back({child, range.begin, end, range.depth + 1});
      range.begin = end;
    }
  }
}

std::optional<uint32_t> SpecialTokens::Child(const Node& node, uint8_t byte) const {
  const auto first = edges_.begin() + node.first_edge;
  const auto last = first + node.edges;
  const auto found = std::lower_bound(first, last, byte, [](const Edge& edge, uint8_t wanted) { return edge.byte < wanted; });
  if (found == last || found->byte != byte) return std::nullopt;
  return found->node;
}

std::optional<SpecialTokens::Match> SpecialTokens::Find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    const uint32_t root = roots_[static_cast<uint8_t>(text[begin])];
    if (root == 0) continue;
    Match best = {begin, begin, kNoToken};
    std::optional<uint32_t> node = root;
    for (size_t end = begin + 1; node; ++end) {
      if (nodes_[*node].token != kNoToken) best = {begin, end, nodes_[*node].token};
      if (end == text.size()) break;
      node = Child(nodes_[*node], static_cast<uint8_t>(text[end]));
    }
    if (best.token != kNoToken) return best;
  }
  return std::nullopt;
}

}  // namespace millrace::text
