// What a GGUF file says about text: its vocabulary in the neutral form of the text layer.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "text/tokenizer_spec.h"
#include "weights/gguf.h"

namespace millrace::model {

// Fills a specification from tokenizer.ggml.*; text::Tokenizer::Create checks what is inside it. `vocab` is the number of rows of the model's
// embedding, which the token list must match. Copies token texts and merges, within the limits of text/vocabulary.h. kNotFound without a
// tokenizer; kUnsupported for kinds of tokenizers and pre-tokenizer names that this build does not know; kInvalidArgument or kDataLoss naming the
// key otherwise.
//
// Exact against the tokenizer of the model's authors, where other engines differ from it (they leave NFC out, say). What a file leaves out has the
// defaults of its kind: special ids, tokens around a text, a space in front of it. Tokens that llama.cpp marks by the model's name are marked
// (Phi-3's special tokens take the white space after them along). Rows that are named after their number ("[PAD151700]") are unused.
//
// end_of_sequence holds the file's end-of-sequence, end-of-turn and end-of-message ids and the special tokens that are known to
// end a turn ("<|im_end|>" and the like), because many files name only one of them.
Result<text::TokenizerSpec> TokenizerSpecFromGguf(const weights::GgufFile& file, uint32_t vocab);

}  // namespace millrace::model
