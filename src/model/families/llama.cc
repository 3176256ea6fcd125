// Family "llama": Llama 1 to 3, SmolLM, SmolLM2 and others of the same blocks. GGUF files store query and key rows reordered, so that
// rope turns adjacent pairs.
#include <array>

#include "model/families.h"
#include "model/families/transformer.h"
#include "weights/shown_text.h"

namespace millrace::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"llama"};

constexpr std::array<TensorName, 12> kTensors = {{
    {Role::kEmbedding, "token_embd.weight", "model.embed_tokens.weight"},
    {Role::kOutputNorm, "output_norm.weight", "model.norm.weight"},
    {Role::kHead, "output.weight", "lm_head.weight"},
    {Role::kAttnNorm, "blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight"},
    {Role::kQuery, "blk.{}.attn_q.weight", "model.layers.{}.self_attn.q_proj.weight"},
    {Role::kKey, "blk.{}.attn_k.weight", "model.layers.{}.self_attn.k_proj.weight"},
    {Role::kValue, "blk.{}.attn_v.weight", "model.layers.{}.self_attn.v_proj.weight"},
    {Role::kAttnOut, "blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight"},
    {Role::kMlpNorm, "blk.{}.ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight"},
    {Role::kGate, "blk.{}.ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight"},
    {Role::kUp, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight"},
    {Role::kDown, "blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight"},
}};

constexpr std::array<NeutralNumber, 9> kNeutralNumbers = {{
    {{"expert_count", ""}, 0},
    {{"rope.scale_linear", ""}, 1},
    {{"rope.scaling.factor", ""}, 1},
    {{"rope.scaling.attn_factor", ""}, 1},
    {{"attention.sliding_window", ""}, 0},
    {{"attention.clamp_kqv", ""}, 0},
    {{"attention.scale", ""}, 0},
    {{"logit_scale", ""}, 1},
    {{"embedding_scale", ""}, 1},
}};

Status CheckNothingUnsupported(const Metadata& metadata) {
  RETURN_IF_ERROR(CheckNeutral(metadata, kNeutralNumbers));
  constexpr Key kScaling{"rope.scaling.type", "rope_scaling.rope_type"};
  if (metadata.Has(kScaling)) {
    ASSIGN_OR_RETURN(const auto type, metadata.String(kScaling));
    if (type != "none") {
      return Error(Code::kUnsupported, "{}: '{}' is not supported by this build, expected 'none' or no such key",
                   metadata.Where(kScaling), weights::ShownText(type));
    }
  }
  constexpr Key kCausal{"attention.causal", ""};
  ASSIGN_OR_RETURN(const bool causal, metadata.BoolOr(kCausal, true));
  if (!causal) return Error(Code::kUnsupported, "{}: false is not supported by this build", metadata.Where(kCausal));
  if (!metadata.is_gguf()) return {};
  for (const std::string_view name : {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"}) {
    if (metadata.gguf().FindTensor(name) != nullptr) {
      return Error(Code::kUnsupported, "tensor '{}': scaled rope frequencies are not supported by this build", name);
    }
  }
  return {};
}

Result<ModelConfig> ReadConfig(const Metadata& metadata) {
  RETURN_IF_ERROR(CheckNothingUnsupported(metadata));
  ASSIGN_OR_RETURN(ModelConfig config, ReadTransformer(metadata, "llama"));
  ASSIGN_OR_RETURN(RopeConfig rope, ReadRope(metadata, {.gguf_style = RopeStyle::kAdjacentPairs}, config.layers[0].head_dim));
  config.ropes.push_back(std::move(rope));
  return config;
}

}  // namespace

Family LlamaFamily() {
  return {.name = "llama",
          .architectures = kArchitectures,
          .model_types = kArchitectures,
          .read_config = &ReadConfig,
          .tensors = kTensors};
}

}  // namespace millrace::model
