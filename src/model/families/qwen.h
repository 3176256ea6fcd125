// What the generations of Qwen share.
#pragma once

#include <cstddef>

#include "base/status.h"
#include "model/config.h"
#include "model/families/checks.h"
#include "model/metadata.h"

namespace millrace::model {

// Every config.json names a window; it counts only where use_sliding_window is true, and then on the layers that layer_types names, else
// on those from max_window_layers on. Models of experts have it on every layer instead.
inline Status SetQwenWindows(const Metadata& metadata, ModelConfig& config, bool every_layer = false) {
  constexpr Key kUseWindow{"", "use_sliding_window"};
  constexpr Key kFirst{"", "max_window_layers"};
  ASSIGN_OR_RETURN(const auto sliding, ReadSlidingLayers(metadata, config.layers.size()));
  ASSIGN_OR_RETURN(const bool use_window, metadata.BoolOr(kUseWindow, false));
  if (!use_window) return {};
  ASSIGN_OR_RETURN(const uint32_t window, ReadWindow(metadata));
  ASSIGN_OR_RETURN(const uint32_t first, metadata.U32Or(kFirst, 28));  // the default of transformers
  for (size_t i = 0; i < config.layers.size(); ++i) {
    if (every_layer || (sliding.empty() ? i >= first : sliding[i])) config.layers[i].window = window;
  }
  return {};
}

}  // namespace millrace::model
