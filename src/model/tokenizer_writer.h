// tokenizer.json, and the small files beside it, of a checkpoint that is made from another form of a model.
#pragma once

#include <map>
#include <string>

#include "base/status.h"
#include "text/vocabulary.h"

namespace millrace::model {

// File name -> content: tokenizer.json, tokenizer_config.json, generation_config.json. What TokenizerSpecFromJson reads from them is
// `spec` again. kUnsupported for a pre-tokenizer or a flag that tokenizer.json cannot tell.
Result<std::map<std::string, std::string>> TokenizerFilesOf(const text::TokenizerSpec& spec, const std::string& chat_template);

}  // namespace millrace::model
