// Members of tokenizer.json for the steps around the model.
#pragma once

#include "base/json.h"
#include "base/status.h"
#include "text/tokenizer_spec.h"

namespace millrace::model {

// null where there are no steps. kUnsupported naming a step that the file cannot tell.
Result<Json> NormalizerMember(const text::TokenizerSpec& spec);
Json PreTokenizerMember(const text::TokenizerSpec& spec);
Json DecoderMember(const text::TokenizerSpec& spec);
Json PostProcessorMember(const text::TokenizerSpec& spec);

}  // namespace millrace::model
