// The likeliest meaning of a misspelt name.
#pragma once

#include <span>
#include <string_view>

namespace millrace {

// The candidate with the fewest insertions, deletions and replacements of a byte, if those are at most a third of the longer name's
// length; else empty. Names longer than 64 bytes are like nothing.
std::string_view Nearest(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace millrace
