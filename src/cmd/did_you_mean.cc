#include "cmd/did_you_mean.h"

#include "base/nearest.h"

namespace millrace::cmd {

std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates) {
  const std::vector<std::string_view> views(candidates.begin(), candidates.end());
  const std::string_view nearest = Nearest(name, views);
  return nearest.empty() ? std::string() : "; did you mean '" + std::string(nearest) + "'?";
}

}  // namespace millrace::cmd
