// Text to token ids and back, byte-level BPE, exact against the Python package `tokenizers`.
//
// Encode takes special tokens out first (leftmost, longest), cuts the rest with the pre-tokenizer, and merges each piece by rank.
// Work is O(n log n) in the bytes of the longest piece and linear in everything else, whatever the text: there is no cache that
// could be poisoned and no input that makes merging quadratic.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "text/named_pretokenizer.h"
#include "text/special_tokens.h"
#include "text/vocabulary.h"
#include "text/word_table.h"

namespace millrace::text {

inline constexpr size_t kMaxEncodeBytes = 1ULL << 30;  // longer text is refused

struct EncodeOptions {
  // Put the beginning-of-sequence token first if the vocabulary asks for one; not when the text itself begins with it.
  bool add_bos = false;
  // Take the text of control tokens ("<|im_start|>") as those tokens. Off, such text is only text, so a user cannot forge a turn;
  // user-defined tokens are text and are found in both cases.
  bool parse_special = false;
  // More tokens than this end the call with kInvalidArgument, soon after the limit is passed.
  size_t max_tokens = std::numeric_limits<size_t>::max();
};

class Tokenizer {
 public:
  // Fails with kUnsupported when the pre-tokenizer's name is not known.
  static Result<std::shared_ptr<const Tokenizer>> Create(std::shared_ptr<const Vocabulary> vocabulary);

  const Vocabulary& vocabulary() const { return *vocabulary_; }

  // Ill-formed UTF-8 is read as if each maximal ill-formed part were U+FFFD (Python's errors="replace"). Bytes that the
  // vocabulary has no token for (SmolLM2 lacks U+0004, say) are left out, as in Python; the unknown token, often a control token,
  // never stands for text. Thread-safe; blocks for the time of the work only.
  Result<std::vector<TokenId>> Encode(std::string_view text, const EncodeOptions& options = {}) const;

  // The text of the tokens, ill-formed UTF-8 replaced as above. Ids outside the vocabulary count as empty. Control tokens are
  // left out unless `show_special`.
  std::string Decode(std::span<const TokenId> tokens, bool show_special = false) const;

 private:
  class Run;
  Tokenizer(std::shared_ptr<const Vocabulary> vocabulary, std::unique_ptr<const NamedPreTokenizer> pre_tokenizer);

  std::shared_ptr<const Vocabulary> vocabulary_;  // shared: decoders of running streams outlive a model that is being unloaded
  std::unique_ptr<const NamedPreTokenizer> pre_tokenizer_;
  SpecialTokens all_special_;    // control and user-defined
  SpecialTokens plain_special_;  // user-defined only
  WordTable words_;
};

}  // namespace millrace::text
