// Family "starcoder2": layer norms, an MLP without a gate, biases everywhere but at the head, a window on every layer.
#include <array>

#include "model/families.h"
#include "model/families/checks.h"
#include "model/families/rope_keys.h"
#include "model/families/tensor_names.h"
#include "model/families/transformer.h"

namespace millrace::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"starcoder2"};

constexpr std::array<TensorName, 7> kOwn = {{
    {Role::kOutputNormBias, "output_norm.bias", "model.norm.bias"},
    {Role::kAttnNormBias, "blk.{}.attn_norm.bias", "model.layers.{}.input_layernorm.bias"},
    {Role::kMlpNormBias, "blk.{}.ffn_norm.bias", "model.layers.{}.post_attention_layernorm.bias"},
    {Role::kUp, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.c_fc.weight"},
    {Role::kUpBias, "blk.{}.ffn_up.bias", "model.layers.{}.mlp.c_fc.bias"},
    {Role::kDown, "blk.{}.ffn_down.weight", "model.layers.{}.mlp.c_proj.weight"},
    {Role::kDownBias, "blk.{}.ffn_down.bias", "model.layers.{}.mlp.c_proj.bias"},
}};
constexpr auto kTensors = names::Join(names::kTables, names::kOutputNorm, names::kPreNorms, names::kAttention, names::kQkvBiases,
                                      names::kAttnOutBias, kOwn);
constexpr std::array<std::string_view, 3> kRead = {"use_bias", "sliding_window", "attention.sliding_window"};

Result<ModelConfig> ReadConfig(const Metadata& metadata) {
  RETURN_IF_ERROR(CheckOtherKeys(metadata, kRead));
  RETURN_IF_ERROR(CheckActivation(metadata, "hidden_act", Activation::kGeluTanh));
  ASSIGN_OR_RETURN(ModelConfig config,
                   ReadTransformer(metadata, "starcoder2", {.epsilon = {"attention.layer_norm_epsilon", "norm_epsilon"}}));
  RETURN_IF_ERROR(CheckNoSlidingLayers(metadata, config.layers.size()));
  RETURN_IF_ERROR(AddRope(metadata, {}, config));
  config.norm = NormKind::kLayer;
  ASSIGN_OR_RETURN(const uint32_t window, ReadWindow(metadata));
  for (LayerConfig& layer : config.layers) {
    layer.mlp = MlpKind::kPlain;
    layer.activation = Activation::kGeluTanh;
    layer.window = window;
  }
  return config;
}

}  // namespace

Family StarCoder2Family() {
  return {.name = "starcoder2",
          .architectures = kArchitectures,
          .model_types = kArchitectures,
          .read_config = &ReadConfig,
          .tensors = kTensors,
          .tied_by_default = true};
}

}  // namespace millrace::model
