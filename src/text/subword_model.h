// The model step of a tokenizer: one piece of pre-tokenized text to token ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "text/tokenizer_spec.h"
#include "text/vocabulary.h"

namespace millrace::text {

inline constexpr size_t kMaxPieceBytes = (size_t{1} << 30) - 1;

// Encodes the pieces of one text, in order. Keeps scratch memory between pieces; one thread.
class PieceEncoder {
 public:
  virtual ~PieceEncoder() = default;
  // Appends the tokens of `piece` (well-formed UTF-8, not empty, at most kMaxPieceBytes) to `out`. Work for a piece of n bytes, whatever it holds: O(n log n)
  // for the models that merge; O(n k) for Unigram and WordPiece, k the bytes of the longest token, at most kMaxTokenBytes, and for WordPiece no more
  // than max_characters code points.
  virtual void Append(std::string_view piece, std::vector<TokenId>& out) = 0;

  // Looks into tables and queue entries taken since construction: what tests hold against the length of hostile input.
  virtual uint64_t steps() const = 0;
};

// Immutable, thread-safe.
class SubwordModel {
 public:
  // `vocabulary` (built from the same spec) outlives the model. kInvalidArgument naming the merge, score or token that makes no sense, or
  // what is missing: every model but BpeModel needs a token for what it does not know.
  static Result<std::unique_ptr<const SubwordModel>> Create(const TokenizerSpec& spec, const Vocabulary& vocabulary);
  virtual ~SubwordModel() = default;

  virtual std::unique_ptr<PieceEncoder> NewEncoder() const = 0;
};

}  // namespace millrace::text
