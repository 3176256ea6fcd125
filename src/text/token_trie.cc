#include "text/token_trie.h"

#include <algorithm>

namespace millrace::text {

// Places the nodes depth first, so that the chain of a token lies together. A node tries a few free units for its first child (with one
// child the first of them will do) and else goes behind all others, so the work is linear in the bytes of the tokens. Units that did not
// do come last in the next search.
class TokenTrie::Builder {
 public:
  using Tokens = std::vector<std::pair<std::string_view, TokenId>>;
  Builder(const Tokens& tokens, std::vector<Unit>& units) : tokens_(tokens), units_(units) {
    for (const auto& [text, token] : tokens) limit_ += 4 * text.size();
  }

  Status Build() {
    Grow(1);
    Take(kRoot);
    pending_.push_back({kRoot, 0, tokens_.size(), 0});
    while (!pending_.empty()) {
      const Range range = pending_.back();
      pending_.pop_back();
      PlaceChildren(range);
      if (units_.size() > limit_) return Error(Code::kInvalidArgument, "a table of tokens with more than {} places", limit_);
    }
    return Status();
  }

 private:
  static constexpr int kTries = 32;
  struct Range {  // tokens that share their first `depth` bytes, which lead to `node`
    Node node;
    size_t begin;
    size_t end;
    size_t depth;
  };
  struct Child {
    uint8_t byte;
    size_t begin;
    size_t end;
  };
  // The free units, in a ring through kRoot, which is never free.
  struct Links {
    uint32_t previous;
    uint32_t next;
  };

  void Grow(size_t size) {
    while (units_.size() < size || links_.size() < size) {
      const auto unit = static_cast<uint32_t>(links_.size());
      if (units_.size() <= unit) units_.emplace_back();
      const uint32_t last = unit == 0 ? 0 : links_[kRoot].previous;
      links_.push_back({last, kRoot});
      links_[last].next = unit;
      links_[kRoot].previous = unit;
    }
  }

  bool IsFree(uint32_t unit) const { return unit != kRoot && units_[unit].parent == kNowhere; }

  void Take(uint32_t unit) {
    if (unit == kRoot) return;
    if (unit == cursor_) cursor_ = links_[unit].next;
    links_[links_[unit].previous].next = links_[unit].next;
    links_[links_[unit].next].previous = links_[unit].previous;
  }

  void PlaceChildren(const Range& range) {
    children_.clear();
    size_t i = range.begin;
    if (tokens_[i].first.size() == range.depth) units_[range.node].token = tokens_[i++].second;
    while (i < range.end) {
      const auto byte = static_cast<uint8_t>(tokens_[i].first[range.depth]);
      const size_t begin = i;
      while (i < range.end && static_cast<uint8_t>(tokens_[i].first[range.depth]) == byte) ++i;
      children_.push_back({byte, begin, i});
    }
    if (children_.empty()) return;
    const uint32_t base = FindBase();
    units_[range.node].base = base;
    for (auto child = children_.rbegin(); child != children_.rend(); ++child) {
      const uint32_t unit = base + child->byte;
      units_[unit].parent = range.node;
      Take(unit);
      pending_.push_back({unit, child->begin, child->end, range.depth + 1});
    }
  }

  uint32_t FindBase() {
    const uint32_t span = children_.back().byte - children_.front().byte + 1U;
    for (int tries = 0; tries < kTries; ++tries, cursor_ = links_[cursor_].next) {
      if (cursor_ == kRoot) cursor_ = links_[kRoot].next;
      if (cursor_ == kRoot) break;  // nothing is free
      Grow(cursor_ + span);
      const uint32_t base = cursor_ - children_.front().byte;
      const bool fits =
          std::all_of(children_.begin(), children_.end(), [&](const Child& child) { return IsFree(base + child.byte); });
      if (fits) return base;
    }
    const auto end = static_cast<uint32_t>(units_.size());
    Grow(end + span);
    return end - children_.front().byte;
  }

  const Tokens& tokens_;
  std::vector<Unit>& units_;
  std::vector<Links> links_;
  size_t limit_ = 256;       // of units
  uint32_t cursor_ = kRoot;  // where the next search begins
  std::vector<Range> pending_;
  std::vector<Child> children_;
};

Result<TokenTrie> TokenTrie::Create(std::vector<std::pair<std::string_view, TokenId>> tokens) {
  TokenTrie trie;
  if (tokens.empty()) return trie;
  std::sort(tokens.begin(), tokens.end());
  RETURN_IF_ERROR(Builder(tokens, trie.units_).Build());
  trie.units_.shrink_to_fit();
  return trie;
}

TokenTrie::Node TokenTrie::Walk(Node node, std::string_view bytes) const {
  for (const char byte : bytes) {
    if (node == kNowhere) break;
    node = Step(node, byte);
  }
  return node;
}

}  // namespace millrace::text
