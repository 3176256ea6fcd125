#include "model/families/checks.h"

#include <algorithm>
#include <array>
#include <string>

#include "weights/shown_text.h"

namespace millrace::model {

namespace {

constexpr double kNever = -1e300;  // no value is neutral: the key's presence asks for something
constexpr size_t kMaxLayers = 1024;
constexpr Key kWindow{"attention.sliding_window", "sliding_window"};
constexpr Key kLayerTypes{"", "layer_types"};

// A key and the number (true is 1, false is 0) with which it changes nothing.
struct Neutral {
  std::string_view name;
  double number;
};

constexpr std::array<Neutral, 27> kGguf = {{
    {"expert_count", 0},
    {"expert_used_count", 0},
    {"expert_shared_count", 0},
    {"expert_shared_feed_forward_length", 0},
    {"expert_group_count", 1},
    {"expert_group_used_count", 1},
    {"expert_weights_norm", 1},
    {"expert_weights_scale", 1},
    {"expert_gating_func", 1},  // softmax
    {"leading_dense_block_count", 0},
    {"interleave_moe_layer_step", 1},
    {"nextn_predict_layers", 0},
    {"use_parallel_residual", 0},
    {"logit_scale", 1},
    {"residual_scale", 1},
    {"embedding_scale", 1},
    {"attn_logit_softcapping", 0},
    {"final_logit_softcapping", 0},
    {"pooling_type", 0},
    {"attention.causal", 1},
    {"attention.max_alibi_bias", 0},
    {"attention.clamp_kqv", 0},
    {"attention.sliding_window", 0},
    {"attention.scale", 0},
    {"attention.shared_kv_layers", 0},
    {"rope.scaling.yarn_ext_factor", 1},
    {"rope.scaling.yarn_log_multiplier", 0},
}};

// Read by every family (transformer.cc, rope_keys.cc, model_file.cc), or of no consequence.
constexpr std::array<std::string_view, 23> kGgufRead = {
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "vocab_size",
    "tensor_data_layout",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.layer_norm_epsilon",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scaling.attn_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
};

constexpr std::array<Neutral, 38> kConfig = {{
    {"attention_bias", 0},
    {"mlp_bias", 0},
    {"lm_head_bias", 0},
    {"use_bias", 0},
    {"use_qkv_bias", 0},
    {"qkv_bias", 0},
    {"qk_layernorm", 0},
    {"use_qk_norm", 0},
    {"qk_norm", 0},
    {"use_parallel_residual", 0},
    {"parallel_attn", 0},
    {"clip_qkv", 0},
    {"alibi", 0},
    {"is_causal", 1},
    {"use_bidirectional_attention", 0},
    {"add_cross_attention", 0},
    {"is_encoder_decoder", 0},
    {"cross_attention_layers", kNever},
    {"use_sliding_window", 0},
    {"sliding_window", 0},
    {"attention_chunk_size", 0},
    {"attn_logit_softcapping", 0},
    {"final_logit_softcapping", 0},
    {"attention_multiplier", kNever},
    {"query_pre_attn_scalar", kNever},
    {"embedding_multiplier", 1},
    {"residual_multiplier", 1},
    {"logits_scaling", 1},
    {"logit_scale", 1},
    {"no_rope_layers", kNever},
    {"q_lora_rank", 0},
    {"kv_lora_rank", 0},
    {"num_experts", 0},
    {"num_local_experts", 0},
    {"n_routed_experts", 0},
    {"n_shared_experts", 0},
    {"shared_expert_intermediate_size", 0},
    {"vision_config", kNever},
}};

bool Has(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Status CheckNeutral(const Metadata& metadata, const Key& key, double neutral) {
  if (!metadata.Has(key)) return {};
  const auto number = metadata.Number(key);
  const auto truth = metadata.Bool(key);
  if (number.ok() && *number == neutral) return {};
  if (truth.ok() && (*truth ? 1 : 0) == neutral) return {};
  if (neutral == kNever) return Error(Code::kUnsupported, "{}: not supported by this build", metadata.Where(key));
  if (!number.ok() && !truth.ok()) return number.status();
  const std::string found = number.ok() ? fmt::format("{}", *number) : *truth ? "true" : "false";
  return Error(Code::kUnsupported, "{}: {} is not supported by this build, expected {} or no such key", metadata.Where(key),
               found, neutral);
}

Status CheckGgufKeys(const Metadata& metadata, std::span<const std::string_view> read) {
  const std::string prefix = std::string(metadata.architecture()) + ".";
  for (const weights::GgufEntry& entry : metadata.gguf().metadata()) {
    if (!entry.key.starts_with(prefix)) continue;
    const std::string_view name = entry.key.substr(prefix.size());
    if (Has(read, name) || Has(kGgufRead, name)) continue;
    const auto row = std::find_if(kGguf.begin(), kGguf.end(), [name](const Neutral& each) { return each.name == name; });
    if (row == kGguf.end()) {
      return Error(Code::kUnsupported, "metadata '{}': not known to this build", weights::ShownText(entry.key));
    }
    RETURN_IF_ERROR(CheckNeutral(metadata, {name, ""}, row->number));
  }
  return {};
}

}  // namespace

Status CheckOtherKeys(const Metadata& metadata, std::span<const std::string_view> read) {
  if (metadata.is_gguf()) return CheckGgufKeys(metadata, read);
  for (const Neutral& row : kConfig) {
    if (!Has(read, row.name)) RETURN_IF_ERROR(CheckNeutral(metadata, {"", row.name}, row.number));
  }
  return {};
}

Status CheckActivation(const Metadata& metadata, std::string_view name, Activation expected) {
  const Key key{"", name};
  if (!metadata.Has(key)) return {};
  ASSIGN_OR_RETURN(const std::string activation, metadata.String(key));
  constexpr std::array<std::string_view, 2> kSilu = {"silu", "swish"};
  constexpr std::array<std::string_view, 4> kGelu = {"gelu_pytorch_tanh", "gelu_new", "gelu_fast", "gelu_accurate"};
  const std::span<const std::string_view> names =
      expected == Activation::kSilu ? std::span<const std::string_view>(kSilu) : std::span<const std::string_view>(kGelu);
  if (Has(names, activation)) return {};
  return Error(Code::kUnsupported, "{}: '{}' is not supported by this build for this family, expected '{}'", metadata.Where(key),
               weights::ShownText(activation), names[0]);
}

Result<std::vector<bool>> ReadSlidingLayers(const Metadata& metadata, size_t layers) {
  std::vector<bool> sliding;
  if (!metadata.Has(kLayerTypes)) return sliding;
  ASSIGN_OR_RETURN(const auto types, metadata.Strings(kLayerTypes, kMaxLayers));
  if (types.size() != layers) {
    return Error(Code::kInvalidArgument, "{}: {} elements, expected one for each of the {} layers", metadata.Where(kLayerTypes),
                 types.size(), layers);
  }
  for (const std::string& type : types) {
    if (type != "full_attention" && type != "sliding_attention") {
      return Error(Code::kUnsupported,
                   "{}: '{}' is not supported by this build, expected 'full_attention' or 'sliding_attention'",
                   metadata.Where(kLayerTypes), weights::ShownText(type));
    }
    sliding.push_back(type == "sliding_attention");
  }
  return sliding;
}

Status CheckNoSlidingLayers(const Metadata& metadata, size_t layers) {
  ASSIGN_OR_RETURN(const auto sliding, ReadSlidingLayers(metadata, layers));
  if (std::find(sliding.begin(), sliding.end(), true) == sliding.end()) return {};
  return Error(Code::kUnsupported, "{}: 'sliding_attention' is not supported by this build for this family",
               metadata.Where(kLayerTypes));
}

Result<uint32_t> ReadWindow(const Metadata& metadata, uint32_t fallback) {
  return metadata.U32Or(kWindow, metadata.IsNull(kWindow) ? 0 : fallback);
}

}  // namespace millrace::model
