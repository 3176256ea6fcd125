// Family "mistral": Llama's blocks with a window on every layer, where there is one (version 0.1). GGUF files of these models call
// themselves "llama".
#include <array>

#include "model/families.h"
#include "model/families/checks.h"
#include "model/families/rope_keys.h"
#include "model/families/tensor_names.h"
#include "model/families/transformer.h"

namespace millrace::model {

namespace {

constexpr std::array<std::string_view, 1> kModelTypes = {"mistral"};
constexpr auto kTensors = names::kLlama;
constexpr std::array<std::string_view, 1> kRead = {"sliding_window"};

constexpr uint32_t kDefaultWindow = 4096;  // of transformers, where config.json is silent; null means none

Result<ModelConfig> ReadConfig(const Metadata& metadata) {
  RETURN_IF_ERROR(CheckOtherKeys(metadata, kRead));
  RETURN_IF_ERROR(CheckActivation(metadata, "hidden_act", Activation::kSilu));
  ASSIGN_OR_RETURN(ModelConfig config, ReadTransformer(metadata, "mistral"));
  RETURN_IF_ERROR(AddRope(metadata, {}, config));
  ASSIGN_OR_RETURN(const auto sliding, ReadSlidingLayers(metadata, config.layers.size()));
  ASSIGN_OR_RETURN(const uint32_t window, ReadWindow(metadata, kDefaultWindow));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    config.layers[i].window = window;
    if (!sliding.empty() && sliding[i] != (window != 0)) {
      return Error(Code::kUnsupported,
                   "config.json 'layer_types': layer {} contradicts 'sliding_window': {}, which this family has on every layer",
                   i, window);
    }
  }
  return config;
}

}  // namespace

Family MistralFamily() {
  return {.name = "mistral", .architectures = {}, .model_types = kModelTypes, .read_config = &ReadConfig, .tensors = kTensors};
}

}  // namespace millrace::model
