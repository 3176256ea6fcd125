// Family "smollm3": Llama's blocks, of which some do not rotate: those with a 0 in no_rope_layers, else every fourth. GGUF files say
// nothing about it and always mean every fourth.
#include <array>

#include "model/families.h"
#include "model/families/checks.h"
#include "model/families/rope_keys.h"
#include "model/families/tensor_names.h"
#include "model/families/transformer.h"

namespace millrace::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"smollm3"};

constexpr auto kTensors = names::Join(names::kLlama, names::kQkvBiases, names::kAttnOutBias);
constexpr std::array<std::string_view, 4> kRead = {"attention_bias", "no_rope_layers", "use_sliding_window", "sliding_window"};
constexpr Key kNoRope{"", "no_rope_layers"};
constexpr Key kInterval{"", "no_rope_layer_interval"};
constexpr Key kUseWindow{"", "use_sliding_window"};
constexpr uint32_t kDefaultInterval = 4;

Status ReadLayersWithoutRope(const Metadata& metadata, ModelConfig& config) {
  ASSIGN_OR_RETURN(const uint32_t interval, metadata.DimensionOr(kInterval, 1U << 16, kDefaultInterval));
  for (size_t i = 0; i < config.layers.size(); ++i) config.layers[i].rope = (i + 1) % interval == 0 ? -1 : 0;
  if (!metadata.Has(kNoRope)) return {};
  ASSIGN_OR_RETURN(const auto rotates, metadata.Numbers(kNoRope, config.layers.size()));  // 1 where the layer does rotate
  if (rotates.size() != config.layers.size()) {
    return Error(Code::kInvalidArgument, "{}: {} elements, expected one for each of the {} layers", metadata.Where(kNoRope),
                 rotates.size(), config.layers.size());
  }
  for (size_t i = 0; i < rotates.size(); ++i) config.layers[i].rope = rotates[i] != 0 ? 0 : -1;
  return {};
}

// Windows, where they are switched on, are on the layers without rope, unless layer_types says which.
Status ReadWindows(const Metadata& metadata, ModelConfig& config) {
  ASSIGN_OR_RETURN(const bool use_window, metadata.BoolOr(kUseWindow, false));
  ASSIGN_OR_RETURN(auto sliding, ReadSlidingLayers(metadata, config.layers.size()));
  if (!use_window) return {};
  ASSIGN_OR_RETURN(const uint32_t window, ReadWindow(metadata));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    if (sliding.empty() ? config.layers[i].rope < 0 : sliding[i]) config.layers[i].window = window;
  }
  return {};
}

Result<ModelConfig> ReadConfig(const Metadata& metadata) {
  RETURN_IF_ERROR(CheckOtherKeys(metadata, kRead));
  RETURN_IF_ERROR(CheckActivation(metadata, "hidden_act", Activation::kSilu));
  ASSIGN_OR_RETURN(ModelConfig config, ReadTransformer(metadata, "smollm3"));
  RETURN_IF_ERROR(AddRope(metadata, {.gguf_style = RopeStyle::kAdjacentPairs, .base = 2e6}, config));
  RETURN_IF_ERROR(ReadLayersWithoutRope(metadata, config));
  RETURN_IF_ERROR(ReadWindows(metadata, config));
  return config;
}

}  // namespace

Family SmolLm3Family() {
  return {.name = "smollm3",
          .architectures = kArchitectures,
          .model_types = kArchitectures,
          .read_config = &ReadConfig,
          .tensors = kTensors,
          .tied_by_default = true};
}

}  // namespace millrace::model
