// The likeliest meaning of a misspelt name.
#pragma once

#include <span>
#include <string_view>

namespace millrace {

// The candidate that the fewest insertions, deletions and replacements of a byte make of `name`, if those are at most two or a third of
// its length; else empty. Names longer than 64 bytes are like nothing: the work grows with their length.
std::string_view Nearest(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace millrace
