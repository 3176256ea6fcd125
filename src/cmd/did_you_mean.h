// The end of a message about a wrong name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace::cmd {

// "; did you mean 'port'?", or nothing when no candidate is near (base/nearest.h).
std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace millrace::cmd
