// Byte-pair merging of one piece: of all neighbouring pairs of symbols the one of lowest rank merges (the leftmost where several share
// it) until no pair merges.
//
// Short pieces search for the lowest rank directly. Long ones keep a queue of (rank, place), so a piece of n symbols costs O(n log n)
// whatever it holds. One object per thread of work; it keeps its scratch memory between pieces.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/types.h"
#include "text/pair_table.h"
#include "text/rank_queue.h"

namespace millrace::text {

// For some tokens, the two symbols that were last found to make them.
struct LastSplits {
  const std::vector<bool>& kept;  // by token that pairs make: whether book is kept of it
  std::unordered_map<TokenId, std::pair<TokenId, TokenId>> found;
};

class SymbolMerger {
 public:
  // `pairs` outlives the merger; so does `splits`, to which what is found is added.
  explicit SymbolMerger(const PairTable& pairs, LastSplits* splits = nullptr) : pairs_(&pairs), splits_(splits) {}

  // Merges in place. Symbols are whatever `pairs` has been filled with; at most 2^30 of them.
  void Merge(std::vector<TokenId>& symbols);

  // Pairs looked at and queue entries taken since construction: what tests hold against the length of hostile input.
  uint64_t steps() const { return steps_; }

 private:
  struct Node {
    TokenId symbol;
    PairTable::Merged pair;  // of this and next; kNoRank at the end and after the node was merged away
    uint32_t previous;
    uint32_t next;
  };

  PairTable::Merged Look(TokenId left, TokenId right);
  void MergeShort(std::vector<TokenId>& symbols);
  void MergeLong(const std::vector<TokenId>& symbols);
  void MergeAt(uint32_t place);
  void LookAgain(uint32_t place);

  const PairTable* pairs_;
  LastSplits* splits_;
  std::vector<Node> nodes_;
  RankQueue queue_;  // used by MergeLong, empty between pieces
  uint64_t steps_ = 0;
};

}  // namespace millrace::text
