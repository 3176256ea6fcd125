// Text to token ids and back, exact against the Python package `tokenizers` (SentencePiece for the models that follow it).
//
// Encode takes added tokens out, normalizes the text between them, cuts it into pieces, and gives each piece to the model. Work is linear in the
// text but for what PieceEncoder::Append says of the longest piece: no input makes merging quadratic.
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
#include "text/added_tokens.h"
#include "text/normalizer.h"
#include "text/pretokenizer.h"
#include "text/subword_model.h"
#include "text/tokenizer_spec.h"
#include "text/vocabulary.h"

namespace millrace::text {

inline constexpr size_t kMaxEncodeBytes = 1ULL << 30;  // longer text is refused

struct EncodeOptions {
  // Put the tokens in front that the model expects before a text (beginning of sequence, [CLS]); not when the ids of the text itself begin with
  // them, so a prompt that spells its beginning out has it once. The package `tokenizers` would put them twice.
  bool add_prefix = false;
  // Put those after it that encoder models expect ([SEP], end of sequence). Text that a model is to continue has none.
  bool add_suffix = false;
  // Take the text of control tokens ("<|im_start|>") as those tokens. Off, such text is only text, so a user cannot forge a turn
  // with a token that stands beside the model; user-defined tokens are text and are found in both cases. Where the model's own vocabulary has a
  // control token (AddedToken::in_model), Unigram, WordPiece, WordLevel and BPE with ignore_merges make it of its text in both cases, as
  // `tokenizers` does: a caller that must not have it looks for Vocabulary::IsControl in the result.
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
  Tokenizer() = default;

  std::shared_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const Normalizer> normalizer_;
  std::unique_ptr<const PreTokenizer> pre_tokenizer_;
  std::unique_ptr<const SubwordModel> model_;
  std::unique_ptr<const AddedTokens> added_;
};

}  // namespace millrace::text
