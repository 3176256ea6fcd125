// tokenizer.json, and the small files beside it, of a checkpoint that is made from another form of a model.
#pragma once

#include <map>
#include <string>

#include "base/status.h"
#include "text/tokenizer_spec.h"

namespace millrace::model {

// File name -> content: tokenizer.json, tokenizer_config.json, generation_config.json. What TokenizerSpecFromJson reads from them, and the Python
// package `tokenizers`, encodes and decodes as `spec` does. SentencePiece's BPE, which the file cannot tell, becomes BPE by merges as `transformers`
// converts it: the splits of each token, by its score. kUnsupported with the reason for what the file cannot tell at all: rules of SentencePiece
// that match the longest prefix, its removal of extra spaces, unigram models with rows that are no pieces.
Result<std::map<std::string, std::string>> TokenizerFilesOf(const text::TokenizerSpec& spec, const std::string& chat_template);

}  // namespace millrace::model
