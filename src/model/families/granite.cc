// Family "granite": Granite 3. Llama's blocks with factors of the embedding, of scores, of what layers add, and a divisor of the logits.
#include <array>

#include "model/families.h"
#include "model/families/checks.h"
#include "model/families/rope_keys.h"
#include "model/families/tensor_names.h"
#include "model/families/transformer.h"

namespace millrace::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"granite"};

constexpr auto kTensors = names::Join(names::kLlama, names::kQkvBiases, names::kAttnOutBias);
constexpr std::array<std::string_view, 9> kRead = {"attention_bias",      "attention_multiplier", "embedding_multiplier",
                                                   "residual_multiplier", "logits_scaling",       "attention.scale",
                                                   "embedding_scale",     "residual_scale",       "logit_scale"};
constexpr Key kAttention{"attention.scale", "attention_multiplier"};
constexpr Key kEmbedding{"embedding_scale", "embedding_multiplier"};
constexpr Key kResidual{"residual_scale", "residual_multiplier"};
constexpr Key kLogits{"logit_scale", "logits_scaling"};

Result<ModelConfig> ReadConfig(const Metadata& metadata) {
  RETURN_IF_ERROR(CheckOtherKeys(metadata, kRead));
  RETURN_IF_ERROR(CheckActivation(metadata, "hidden_act", Activation::kSilu));
  ASSIGN_OR_RETURN(ModelConfig config, ReadTransformer(metadata, "granite"));
  RETURN_IF_ERROR(CheckNoSlidingLayers(metadata, config.layers.size()));
  RETURN_IF_ERROR(AddRope(metadata, {.gguf_style = RopeStyle::kAdjacentPairs}, config));
  ASSIGN_OR_RETURN(config.embedding_scale, ReadFactor(metadata, kEmbedding, 1));
  ASSIGN_OR_RETURN(config.residual_scale, ReadFactor(metadata, kResidual, 1));
  ASSIGN_OR_RETURN(const float divisor, ReadFactor(metadata, kLogits, 1));
  config.logit_scale = 1 / divisor;
  // Without the key a GGUF file means 1 / sqrt(head size), as ReadTransformer has set it, and config.json means 1.
  const float scale = metadata.is_gguf() ? config.layers[0].attention_scale : 1.0F;
  ASSIGN_OR_RETURN(const float attention_scale, ReadFactor(metadata, kAttention, scale));
  for (LayerConfig& layer : config.layers) layer.attention_scale = attention_scale;
  return config;
}

}  // namespace

Family GraniteFamily() {
  return {.name = "granite",
          .architectures = kArchitectures,
          .model_types = kArchitectures,
          .read_config = &ReadConfig,
          .tensors = kTensors};
}

}  // namespace millrace::model
