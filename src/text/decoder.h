// Tokens of a stream to text, one by one, as the Python package `tokenizers` decodes the whole list, never cutting a code point.
//
// What Feed and Flush return, put together, is exactly what the package gives for the same tokens, with two differences: ill-formed UTF-8 becomes
// U+FFFD once for each maximal ill-formed part, where the package replaces every byte of a bad run of "<0xHH>" tokens; and control tokens are left
// out whole, where the package shows those that its normalizer changes. Added tokens pass through the decoder steps as all others do, as there. With clean_up_spaces the text is then cleaned up as `transformers` does it.
//
// Only what may still change is held back: bytes of an unfinished code point, a space that may stand before a full stop. One object per stream,
// one thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/types.h"
#include "text/decoder_chain.h"
#include "text/vocabulary.h"

namespace millrace::text {

class IncrementalDecoder {
 public:
  // `vocabulary` outlives the decoder. Control tokens are left out unless `show_special`. Ids outside the vocabulary, and rows without a text,
  // count as absent.
  explicit IncrementalDecoder(const Vocabulary& vocabulary, bool show_special = false)
      : vocabulary_(&vocabulary), show_special_(show_special), chain_(vocabulary.decoders(), vocabulary.clean_up_spaces()) {}

  // Text that the token completes; may be empty. Valid until the next call. Work is proportional to the token's own bytes.
  std::string_view Feed(TokenId token);

  // What still waits; the decoder is then as new. Valid until the next call.
  std::string_view Flush();

  // Bytes that wait; what becomes of them may have more or less.
  size_t pending_bytes() const { return chain_.pending_bytes(); }

 private:
  const Vocabulary* vocabulary_;
  bool show_special_;
  DecoderChain chain_;
  std::string ready_;
};

}  // namespace millrace::text
