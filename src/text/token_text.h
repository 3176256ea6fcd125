// What one token stands for, by the decoder steps of its model.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "text/tokenizer_spec.h"

namespace millrace::text {

inline constexpr size_t kMaxDecoderSteps = 16;
inline constexpr size_t kMaxDecoderText = 256;   // bytes of what a step looks for, and of what it puts there
inline constexpr size_t kMaxDecoderGrowth = 64;  // times, of all replacements together

// Whether the steps can be done token by token: kUnsupported naming the step where one would need the whole text first (ByteLevel, ByteFallback
// or a second join after the tokens were joined) or passes a limit above; kInvalidArgument where one looks for nothing.
Status CheckDecoders(std::span<const DecoderStep> steps);

// The bytes of the token with this file text in the middle of a text: neither its first nor its last token.
std::string TokenText(std::span<const DecoderStep> steps, std::string_view file_text);

// "<0x0A>" to 10; nothing for any other text.
std::optional<uint8_t> ByteOfToken(std::string_view file_text);

// `text` with every `from` (not empty), found from left to right, replaced by `to`.
std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to);

// The replacements that make up clean-up, one after the other: of the WordPiece decoder of `tokenizers`, and of `transformers`
// (clean_up_tokenization_spaces).
using Replacement = std::pair<std::string_view, std::string_view>;
std::span<const Replacement> WordPieceCleanUp();
std::span<const Replacement> SpaceCleanUp();

}  // namespace millrace::text
