// The pieces of text that are one token: most words of ordinary text need one look-up here instead of their merges.
//
// A token enters only if its own merges lead from its bytes to it and to nothing else, so the answer is the same as merging would
// give. The table is fixed when it is built: unlike a cache it needs no lock and no bound.
#pragma once

#include <string_view>

#include "base/types.h"
#include "text/byte_merges.h"
#include "text/text_index.h"
#include "text/vocabulary.h"

namespace millrace::text {

class WordTable {
 public:
  // `vocabulary` outlives the table; `merges` need not. With `whole_words_first` every token of type kNormal enters, whatever its merges say.
  WordTable(const Vocabulary& vocabulary, const ByteMerges& merges, bool whole_words_first);

  // kNoToken when `piece` is not in the table.
  TokenId Find(std::string_view piece) const;

 private:
  const Vocabulary* vocabulary_;
  TextIndex index_;
  size_t longest_ = 0;  // bytes of the longest text in the table
};

}  // namespace millrace::text
