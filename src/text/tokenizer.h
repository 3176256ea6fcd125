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
#include "text/byte_merges.h"
#include "text/named_pretokenizer.h"
#include "text/special_tokens.h"
#include "text/vocabulary.h"
#include "text/word_table.h"

namespace millrace::text {

inline constexpr size_t kMaxEncodeBytes = 1ULL << 30;  // longer text is refused

struct EncodeOptions {
  // Put the tokens in front that the model expects before a text (beginning of sequence, [CLS]); not when the ids of the text itself begin with
  // them, so a prompt that spells its beginning out has it once. The package `tokenizers` would put them twice.
  bool add_prefix = false;
  // Put those after it that encoder models expect ([SEP], end of sequence). Text that a model is to continue has none.
  bool add_suffix = false;
  // Take the text of control tokens ("<|im_start|>") as those tokens. Off, such text is only text, so a user cannot forge a turn;
  // user-defined tokens are text and are found in both cases.
  bool parse_special = false;
  // More tokens than this end the call with kInvalidArgument, soon after the limit is passed.
  size_t max_tokens = std::numeric_limits<size_t>::max();
};

class Tokenizer {
 public:
  // Fails as Vocabulary::Build does, or naming the step that makes no sense or that this build does not know.
  static Result<std::shared_ptr<const Tokenizer>> Create(const TokenizerSpec& spec);

  const Vocabulary& vocabulary() const { return *vocabulary_; }

  // Ill-formed UTF-8 is read as if each maximal ill-formed part were U+FFFD (Python's errors="replace"). Thread-safe; blocks for the time of
  // the work only.
  Result<std::vector<TokenId>> Encode(std::string_view text, const EncodeOptions& options = {}) const;

  // What IncrementalDecoder makes of the tokens, in one go.
  std::string Decode(std::span<const TokenId> tokens, bool show_special = false) const;

 private:
  class Run;
  Tokenizer(std::shared_ptr<const Vocabulary> vocabulary, std::unique_ptr<const NamedPreTokenizer> pre_tokenizer,
            ByteMerges merges);

  std::shared_ptr<const Vocabulary> vocabulary_;  // shared: decoders of running streams outlive a model that is being unloaded
  std::unique_ptr<const NamedPreTokenizer> pre_tokenizer_;
  ByteMerges merges_;
  SpecialTokens all_special_;    // control and user-defined
  SpecialTokens plain_special_;  // user-defined only
  WordTable words_;
};

}  // namespace millrace::text
