// The steps around the model in tokenizer.json: "normalizer", "pre_tokenizer", "post_processor", "decoder".
//
// Members that the Python package `tokenizers` does not know are passed over, as there; kinds of steps that this build does not know, and members
// with values that it does not, are refused with their name and value. Messages begin with the path of the member.
#pragma once

#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "text/tokenizer_spec.h"

namespace millrace::model {

// More steps than this in one member are refused.
inline constexpr size_t kMaxTokenizerSteps = 32;

// `root` is the whole file. A normalizer ByteLevel, which spells text as the alphabet of bytes, counts as the pre-tokenizer of that name where it is
// the last normalizer and there is no pre-tokenizer; elsewhere it is refused.
Status ReadNormalizersAndPreTokenizers(const Json& root, text::TokenizerSpec& spec);

// A sequence of no steps joins the tokens; no decoder at all joins them with spaces.
Status ReadDecoders(const Json& root, text::TokenizerSpec& spec);

// Fills prefix and suffix, of a single text. Ids are those that the file gives, below `tokens`.
Status ReadPostProcessor(const Json& root, size_t tokens, text::TokenizerSpec& spec);

// Beginnings of errors: "'path': {…} is not supported, expected …".
Status UnsupportedMember(std::string_view path, const Json& found, std::string_view expected);

}  // namespace millrace::model
