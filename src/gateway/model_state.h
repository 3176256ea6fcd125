// The states of a model as clients read them.
#pragma once

#include <string_view>

#include "gateway/options.h"

namespace millrace::gateway {

constexpr std::string_view ModelStateName(ModelState state) {
  switch (state) {
    case ModelState::kStarting:
      return "starting";
    case ModelState::kLoading:
      return "loading";
    case ModelState::kReady:
      return "ready";
    case ModelState::kBackoff:
      return "restarting";
    case ModelState::kFailed:
      return "failed";
    case ModelState::kStopped:
      return "stopped";
  }
  return "";
}

}  // namespace millrace::gateway
