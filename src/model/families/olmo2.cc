// Family "olmo2": norms after attention and MLP instead of before them, and norms over all query heads and all key heads.
#include <array>

#include "model/families.h"
#include "model/families/checks.h"
#include "model/families/rope_keys.h"
#include "model/families/tensor_names.h"
#include "model/families/transformer.h"

namespace millrace::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"olmo2"};

constexpr auto kTensors =
    names::Join(names::kTables, names::kOutputNorm, names::kAttention, names::kQkNorms, names::kPostNorms, names::kGatedMlp);

Result<ModelConfig> ReadConfig(const Metadata& metadata) {
  RETURN_IF_ERROR(CheckOtherKeys(metadata, {}));
  RETURN_IF_ERROR(CheckActivation(metadata, "hidden_act", Activation::kSilu));
  ASSIGN_OR_RETURN(ModelConfig config, ReadTransformer(metadata, "olmo2"));
  RETURN_IF_ERROR(CheckNoSlidingLayers(metadata, config.layers.size()));
  RETURN_IF_ERROR(AddRope(metadata, {}, config));
  config.norm_placement = NormPlacement::kPost;
  for (LayerConfig& layer : config.layers) layer.qk_norm = QkNorm::kFullWidth;
  return config;
}

}  // namespace

Family Olmo2Family() {
  return {.name = "olmo2",
          .architectures = kArchitectures,
          .model_types = kArchitectures,
          .read_config = &ReadConfig,
          .tensors = kTensors};
}

}  // namespace millrace::model
