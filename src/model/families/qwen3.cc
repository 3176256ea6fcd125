// Family "qwen3": Qwen2's blocks without biases, with norms of each query and key head.
#include <array>

#include "model/families.h"
#include "model/families/checks.h"
#include "model/families/qwen.h"
#include "model/families/rope_keys.h"
#include "model/families/tensor_names.h"
#include "model/families/transformer.h"

namespace millrace::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"qwen3"};

constexpr auto kTensors = names::Join(names::kLlama, names::kQkNorms, names::kQkvBiases, names::kAttnOutBias);
constexpr std::array<std::string_view, 3> kRead = {"use_sliding_window", "sliding_window", "attention_bias"};

Result<ModelConfig> ReadConfig(const Metadata& metadata) {
  RETURN_IF_ERROR(CheckOtherKeys(metadata, kRead));
  RETURN_IF_ERROR(CheckActivation(metadata, "hidden_act", Activation::kSilu));
  ASSIGN_OR_RETURN(ModelConfig config, ReadTransformer(metadata, "qwen3", {.head_dim = 128}));
  RETURN_IF_ERROR(AddRope(metadata, {}, config));
  RETURN_IF_ERROR(SetQwenWindows(metadata, config));
  for (LayerConfig& layer : config.layers) layer.qk_norm = QkNorm::kPerHead;
  return config;
}

}  // namespace

Family Qwen3Family() {
  return {.name = "qwen3",
          .architectures = kArchitectures,
          .model_types = kArchitectures,
          .read_config = &ReadConfig,
          .tensors = kTensors};
}

}  // namespace millrace::model
