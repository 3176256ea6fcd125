// Family "qwen2": Qwen2 and Qwen2.5. Llama's blocks with biases of queries, keys and values.
#include <array>

#include "model/families.h"
#include "model/families/checks.h"
#include "model/families/qwen.h"
#include "model/families/rope_keys.h"
#include "model/families/tensor_names.h"
#include "model/families/transformer.h"

namespace millrace::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"qwen2"};

constexpr auto kTensors = names::Join(names::kLlama, names::kQkvBiases);
constexpr std::array<std::string_view, 2> kRead = {"use_sliding_window", "sliding_window"};

Result<ModelConfig> ReadConfig(const Metadata& metadata) {
  RETURN_IF_ERROR(CheckOtherKeys(metadata, kRead));
  RETURN_IF_ERROR(CheckActivation(metadata, "hidden_act", Activation::kSilu));
  ASSIGN_OR_RETURN(ModelConfig config, ReadTransformer(metadata, "qwen2"));
  RETURN_IF_ERROR(AddRope(metadata, {}, config));
  RETURN_IF_ERROR(SetQwenWindows(metadata, config));
  return config;
}

}  // namespace

Family Qwen2Family() {
  return {.name = "qwen2",
          .architectures = kArchitectures,
          .model_types = kArchitectures,
          .read_config = &ReadConfig,
          .tensors = kTensors};
}

}  // namespace millrace::model
