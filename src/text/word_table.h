// The pieces of text that are one token: most words of ordinary text need one look-up here instead of their merges.
//
// A token enters only if its own merges lead from its bytes to it and to nothing else (`exact`), so the answer is the same as
// merging would give. The table is fixed when it is built: unlike a cache it needs no lock and no bound.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "text/vocabulary.h"

namespace millrace::text {

class WordTable {
 public:
  // `vocabulary` outlives the table. Unless `exact`, every token of type kNormal enters (the model takes whole words first).
  WordTable(const Vocabulary& vocabulary, bool exact);

  // kNoToken when `piece` is not in the table.
  TokenId Find(std::string_view piece) const;

 private:
  const Vocabulary* vocabulary_;
  std::vector<TokenId> slots_;  // a power of two, at most half full
};

}  // namespace millrace::text
