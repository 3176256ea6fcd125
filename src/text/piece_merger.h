// Byte-pair merging of one piece: bytes become tokens, then of all neighbouring pairs the one of lowest rank merges (the leftmost
// where several share it) until no pair merges.
//
// Short pieces search for the lowest rank directly. Long ones keep a heap of (rank, place), so a piece of n bytes costs O(n log
// n) whatever it holds. One object per thread of work; it keeps its scratch memory between pieces.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "text/byte_merges.h"
#include "text/rank_queue.h"

namespace millrace::text {

class PieceMerger {
 public:
  // `merges` outlives the merger.
  explicit PieceMerger(const ByteMerges& merges) : merges_(&merges) {}

  // Appends the tokens of `piece` (less than 4 GiB) to `out`. Bytes without a token are left out.
  void Append(std::string_view piece, std::vector<TokenId>& out);

  // Ranks looked at and queue entries taken since construction: what tests hold against the length of hostile input.
  uint64_t steps() const { return steps_; }

 private:
  struct Symbol {
    TokenId token;
    uint32_t rank;  // of the pair (this, next); kNoRank at the end and after the symbol was merged away
    uint32_t previous;
    uint32_t next;
  };

  void TakeBytes(std::string_view piece);
  void MergeShort();
  void MergeLong();
  void MergeAt(uint32_t place);
  void Rerank(uint32_t place);

  const ByteMerges* merges_;
  std::vector<Symbol> symbols_;
  RankQueue queue_;  // used by MergeLong, empty between pieces
  uint64_t steps_ = 0;
};

}  // namespace millrace::text
