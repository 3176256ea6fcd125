// Tokens of a stream to text, one by one, never cutting a code point: bytes that could still become a whole UTF-8 sequence wait.
//
// What Feed and Flush return, put together, is exactly Tokenizer::Decode of the same tokens. One object per stream, one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/types.h"
#include "text/vocabulary.h"

namespace millrace::text {

class IncrementalDecoder {
 public:
  // `vocabulary` outlives the decoder. Control tokens are left out unless `show_special`.
  explicit IncrementalDecoder(const Vocabulary& vocabulary, bool show_special = false)
      : vocabulary_(&vocabulary), show_special_(show_special) {}

  // Text that the token completes; may be empty. Valid until the next call. Work is proportional to the token's own bytes.
  std::string_view Feed(TokenId token);

  // What still waits, as U+FFFD; the decoder is then as new. Valid until the next call.
  std::string_view Flush();

  // Bytes that wait for the rest of their code point (0 to 3).
  size_t pending_bytes() const { return pending_.size(); }

 private:
  const Vocabulary* vocabulary_;
  bool show_special_;
  std::string pending_;  // an incomplete UTF-8 sequence or empty
  std::string ready_;
};

}  // namespace millrace::text
