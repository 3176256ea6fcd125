// What byte-level merging needs of a specification: the token of each byte, and which pairs merge.
#pragma once

#include <array>
#include <cstdint>

#include "base/status.h"
#include "text/merge_table.h"
#include "text/tokenizer_spec.h"
#include "text/vocabulary.h"

namespace millrace::text {

struct ByteMerges {
  std::array<TokenId, 256> byte_tokens{};  // kNoToken where the vocabulary has none
  MergeTable table;

  // kInvalidArgument naming the merge when a side or the whole is no token.
  static Result<ByteMerges> Build(const BpeModel& model, const Vocabulary& vocabulary);
};

}  // namespace millrace::text
