// Text from a file made fit for messages and terminals: bounded, well-formed UTF-8, without control characters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace millrace::weights {

// At most `max_bytes` of `text` (then "…"), ill-formed parts as U+FFFD, control characters (C0, DEL, C1) as '?'.
std::string ShownText(std::string_view text, size_t max_bytes = 80);

// Whether `text` is non-empty, well-formed UTF-8 without control characters: what keys and tensor names must be.
bool IsPlainName(std::string_view text);

}  // namespace millrace::weights
