// Extended grapheme clusters (Unicode annex 29) as the Python package `tokenizers` cuts them.
#pragma once

#include <string_view>

namespace millrace::text {

// Bytes of the cluster at the start of `text`, which is well-formed UTF-8 and begins where a cluster begins; 0 for empty text.
// Two regional indicators may come as two clusters.
size_t GraphemeClusterLength(std::string_view text);

}  // namespace millrace::text
