// What somebody may have meant: the known name that the fewest single-letter changes make of a wrong one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace::cmd {

// Empty when no candidate is near: more than a third of the letters would have to change.
std::string Nearest(std::string_view name, const std::vector<std::string>& candidates);

// "; did you mean 'port'?", or nothing when no candidate is near.
std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace millrace::cmd
