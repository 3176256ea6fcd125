// Family "phi3": Phi-3, 3.5 and 4. Llama's blocks with fused QKV and fused gate and up, rope over a part of the head, and for long
// contexts a table of factors ("longrope", see rope_keys.h).
#include <array>

#include "model/families.h"
#include "model/families/checks.h"
#include "model/families/rope_keys.h"
#include "model/families/tensor_names.h"
#include "model/families/transformer.h"

namespace millrace::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"phi3"};

constexpr std::array<TensorName, 4> kFused = {{
    {Role::kQuery, "blk.{}.attn_qkv.weight", "model.layers.{}.self_attn.qkv_proj.weight", 3},
    {Role::kAttnOut, "blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight"},
    {Role::kGate, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.gate_up_proj.weight", 2},
    {Role::kDown, "blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight"},
}};
constexpr auto kTensors = names::Join(names::kTables, names::kOutputNorm, names::kPreNorms, kFused);
constexpr std::array<std::string_view, 2> kConfigTensors = {"rope_factors_long.weight", "rope_factors_short.weight"};
constexpr std::array<std::string_view, 2> kRead = {"sliding_window", "attention.sliding_window"};

Result<ModelConfig> ReadConfig(const Metadata& metadata) {
  RETURN_IF_ERROR(CheckOtherKeys(metadata, kRead));
  RETURN_IF_ERROR(CheckActivation(metadata, "hidden_act", Activation::kSilu));
  ASSIGN_OR_RETURN(ModelConfig config, ReadTransformer(metadata, "phi3"));
  RETURN_IF_ERROR(CheckNoSlidingLayers(metadata, config.layers.size()));
  RETURN_IF_ERROR(AddRope(metadata, {.yarn_means_longrope = true}, config));
  ASSIGN_OR_RETURN(const uint32_t window, ReadWindow(metadata));
  for (LayerConfig& layer : config.layers) layer.window = window;
  return config;
}

}  // namespace

Family Phi3Family() {
  return {.name = "phi3",
          .architectures = kArchitectures,
          .model_types = kArchitectures,
          .read_config = &ReadConfig,
          .tensors = kTensors,
          .config_tensors = kConfigTensors};
}

}  // namespace millrace::model
