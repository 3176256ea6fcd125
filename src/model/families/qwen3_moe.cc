// Family "qwen3_moe": Qwen3's attention, with experts in place of the MLP in all or most layers.
#include <algorithm>
#include <array>

#include "model/families.h"
#include "model/families/checks.h"
#include "model/families/qwen.h"
#include "model/families/rope_keys.h"
#include "model/families/tensor_names.h"
#include "model/families/transformer.h"

namespace millrace::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"qwen3moe"};
constexpr std::array<std::string_view, 1> kModelTypes = {"qwen3_moe"};

// Experts lie one after the other in GGUF files and MLX checkpoints, apart in those of transformers.
constexpr std::array<TensorName, 7> kExperts = {{
    {Role::kRouter, "blk.{}.ffn_gate_inp.weight", "model.layers.{}.mlp.gate.weight"},
    {Role::kExpertGate, "blk.{}.ffn_gate_exps.weight", "model.layers.{}.mlp.experts.{}.gate_proj.weight"},
    {Role::kExpertUp, "blk.{}.ffn_up_exps.weight", "model.layers.{}.mlp.experts.{}.up_proj.weight"},
    {Role::kExpertDown, "blk.{}.ffn_down_exps.weight", "model.layers.{}.mlp.experts.{}.down_proj.weight"},
    {Role::kExpertGate, "", "model.layers.{}.mlp.switch_mlp.gate_proj.weight"},
    {Role::kExpertUp, "", "model.layers.{}.mlp.switch_mlp.up_proj.weight"},
    {Role::kExpertDown, "", "model.layers.{}.mlp.switch_mlp.down_proj.weight"},
}};
constexpr auto kTensors = names::Join(names::kLlama, names::kQkNorms, names::kQkvBiases, names::kAttnOutBias, kExperts);
constexpr std::array<std::string_view, 9> kRead = {
    "use_sliding_window", "sliding_window", "attention_bias",    "num_experts",
    "num_local_experts",  "expert_count",   "expert_used_count", "expert_feed_forward_length",
    "mlp_only_layers"};

constexpr uint32_t kMaxExperts = 1024;
constexpr uint32_t kMaxExpertFfn = 1U << 20;
constexpr Key kCount{"expert_count", "num_experts"};
constexpr Key kCountInNewFiles{"", "num_local_experts"};
constexpr Key kUsed{"expert_used_count", "num_experts_per_tok"};
constexpr Key kFfn{"expert_feed_forward_length", "moe_intermediate_size"};
constexpr Key kNormalise{"", "norm_topk_prob"};
constexpr Key kStep{"", "decoder_sparse_step"};
constexpr Key kMlpOnly{"", "mlp_only_layers"};

Result<ExpertsConfig> ReadExperts(const Metadata& metadata) {
  ExpertsConfig experts;
  const Key& count = metadata.Has(kCountInNewFiles) ? kCountInNewFiles : kCount;
  ASSIGN_OR_RETURN(experts.count, metadata.Dimension(count, kMaxExperts));
  ASSIGN_OR_RETURN(experts.used, metadata.Dimension(kUsed, kMaxExperts));
  if (experts.used > experts.count) {
    return Error(Code::kInvalidArgument, "{}: {}, expected at most the {} experts", metadata.Where(kUsed), experts.used,
                 experts.count);
  }
  ASSIGN_OR_RETURN(experts.ffn, metadata.Dimension(kFfn, kMaxExpertFfn));
  ASSIGN_OR_RETURN(experts.renormalise, metadata.BoolOr(kNormalise, metadata.is_gguf()));  // llama.cpp always does
  return experts;
}

Result<ModelConfig> ReadConfig(const Metadata& metadata) {
  RETURN_IF_ERROR(CheckOtherKeys(metadata, kRead));
  RETURN_IF_ERROR(CheckActivation(metadata, "hidden_act", Activation::kSilu));
  ASSIGN_OR_RETURN(ModelConfig config, ReadTransformer(metadata, "qwen3_moe"));
  RETURN_IF_ERROR(AddRope(metadata, {}, config));
  RETURN_IF_ERROR(SetQwenWindows(metadata, config, true));
  ASSIGN_OR_RETURN(const ExpertsConfig experts, ReadExperts(metadata));
  ASSIGN_OR_RETURN(const uint32_t step, metadata.DimensionOr(kStep, 1U << 16, 1));
  std::vector<double> dense;
  if (metadata.Has(kMlpOnly)) {
    ASSIGN_OR_RETURN(dense, metadata.Numbers(kMlpOnly, config.layers.size()));
  }
  for (size_t i = 0; i < config.layers.size(); ++i) {
    LayerConfig& layer = config.layers[i];
    layer.qk_norm = QkNorm::kPerHead;
    if ((i + 1) % step != 0 || std::find(dense.begin(), dense.end(), static_cast<double>(i)) != dense.end()) continue;
    layer.mlp = MlpKind::kExperts;
    layer.ffn = 0;
    layer.experts = experts;
  }
  return config;
}

}  // namespace

Family Qwen3MoeFamily() {
  return {.name = "qwen3_moe",
          .architectures = kArchitectures,
          .model_types = kModelTypes,
          .read_config = &ReadConfig,
          .tensors = kTensors};
}

}  // namespace millrace::model
