// One number that stands for everything a TokenizerSpec says.
#pragma once

#include <cstdint>
#include <vector>

#include "text/tokenizer_spec.h"

namespace millrace::text {

// FNV-1a over every field of `spec`; `end_of_sequence` stands in for spec.end_of_sequence and spec.eos, in its final form.
uint64_t SpecFingerprint(const TokenizerSpec& spec, const std::vector<TokenId>& end_of_sequence);

}  // namespace millrace::text
