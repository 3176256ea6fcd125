// Family "llama": Llama 1 to 3.3, SmolLM, SmolLM2 and others of the same blocks. GGUF files store query and key rows reordered, so that
// rope turns adjacent pairs; Mistral's files are of this architecture too, with a window on every layer where they name one.
#include <array>

#include "model/families.h"
#include "model/families/checks.h"
#include "model/families/rope_keys.h"
#include "model/families/tensor_names.h"
#include "model/families/transformer.h"

namespace millrace::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"llama"};

constexpr auto kTensors = names::Join(names::kLlama, names::kQkvBiases, names::kAttnOutBias);
constexpr std::array<std::string_view, 1> kConfigTensors = {"rope_freqs.weight"};
constexpr std::array<std::string_view, 2> kRead = {"attention_bias", "attention.sliding_window"};

Result<ModelConfig> ReadConfig(const Metadata& metadata) {
  RETURN_IF_ERROR(CheckOtherKeys(metadata, kRead));
  RETURN_IF_ERROR(CheckActivation(metadata, "hidden_act", Activation::kSilu));
  ASSIGN_OR_RETURN(ModelConfig config, ReadTransformer(metadata, "llama"));
  RETURN_IF_ERROR(CheckNoSlidingLayers(metadata, config.layers.size()));
  RETURN_IF_ERROR(AddRope(metadata, {.gguf_style = RopeStyle::kAdjacentPairs}, config));
  if (!metadata.is_gguf()) return config;
  ASSIGN_OR_RETURN(const uint32_t window, ReadWindow(metadata));
  for (LayerConfig& layer : config.layers) layer.window = window;
  return config;
}

}  // namespace

Family LlamaFamily() {
  return {.name = "llama",
          .architectures = kArchitectures,
          .model_types = kArchitectures,
          .read_config = &ReadConfig,
          .tensors = kTensors,
          .config_tensors = kConfigTensors};
}

}  // namespace millrace::model
