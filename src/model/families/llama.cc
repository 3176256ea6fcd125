// Family "llama" as GGUF files hold it: Llama 1 to 3, SmolLM, SmolLM2 and others of the same blocks. The file stores query and
// key rows reordered, so that rope turns adjacent pairs.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string>

#include "model/families.h"
#include "weights/shown_text.h"

namespace millrace::model {

namespace {

using weights::GgufFile;

// Far above every known model; they bound what later code allocates from these numbers.
constexpr uint32_t kMaxLayers = 1024;
constexpr uint32_t kMaxHidden = 1U << 16;
constexpr uint32_t kMaxFfn = 1U << 20;
constexpr uint32_t kMaxHeads = 1024;
constexpr uint32_t kMaxHeadDim = 1024;
constexpr uint32_t kMaxContext = 1U << 24;
constexpr uint32_t kMaxVocab = 1U << 20;
constexpr float kMaxRopeBase = 1e12F;

constexpr std::array<TensorName, 12> kTensors = {{
    {Role::kEmbedding, "token_embd.weight"},
    {Role::kOutputNorm, "output_norm.weight"},
    {Role::kHead, "output.weight", true},
    {Role::kAttnNorm, "blk.{}.attn_norm.weight"},
    {Role::kQuery, "blk.{}.attn_q.weight"},
    {Role::kKey, "blk.{}.attn_k.weight"},
    {Role::kValue, "blk.{}.attn_v.weight"},
    {Role::kAttnOut, "blk.{}.attn_output.weight"},
    {Role::kMlpNorm, "blk.{}.ffn_norm.weight"},
    {Role::kGate, "blk.{}.ffn_gate.weight"},
    {Role::kUp, "blk.{}.ffn_up.weight"},
    {Role::kDown, "blk.{}.ffn_down.weight"},
}};

// Keys that change the arithmetic in ways that this build does not do. Each is harmless with one value.
struct NeutralNumber {
  std::string_view key;
  double neutral;
};
constexpr std::array<NeutralNumber, 9> kNeutralNumbers = {{
    {"llama.expert_count", 0},
    {"llama.rope.scale_linear", 1},
    {"llama.rope.scaling.factor", 1},
    {"llama.rope.scaling.attn_factor", 1},
    {"llama.attention.sliding_window", 0},
    {"llama.attention.clamp_kqv", 0},
    {"llama.attention.scale", 0},
    {"llama.logit_scale", 1},
    {"llama.embedding_scale", 1},
}};

Status CheckNothingUnsupported(const GgufFile& file) {
  for (const NeutralNumber& number : kNeutralNumbers) {
    if (!file.Has(number.key)) continue;
    const auto real = file.GetF32(number.key);
    const auto whole = file.GetU32(number.key);
    if (!real.ok() && !whole.ok()) return real.status();
    const double value = real.ok() ? static_cast<double>(*real) : static_cast<double>(*whole);
    if (value != number.neutral) {
      return Error(Code::kUnsupported, "metadata '{}': {} is not supported by this build, expected {} or no such key", number.key,
                   value, number.neutral);
    }
  }
  if (file.Has("llama.rope.scaling.type")) {
    ASSIGN_OR_RETURN(const auto type, file.GetString("llama.rope.scaling.type"));
    if (type != "none") {
      return Error(Code::kUnsupported,
                   "metadata 'llama.rope.scaling.type': '{}' is not supported by this build, expected 'none' or no such key",
                   weights::ShownText(type));
    }
  }
  ASSIGN_OR_RETURN(const bool causal, file.GetBoolOr("llama.attention.causal", true));
  if (!causal) return Error(Code::kUnsupported, "metadata 'llama.attention.causal': false is not supported by this build");
  for (const std::string_view name : {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"}) {
    if (file.FindTensor(name) != nullptr) {
      return Error(Code::kUnsupported, "tensor '{}': scaled rope frequencies are not supported by this build", name);
    }
  }
  return {};
}

Result<uint32_t> ReadDimension(const GgufFile& file, std::string_view key, uint32_t limit) {
  ASSIGN_OR_RETURN(const uint32_t value, file.GetU32(key));
  if (value < 1 || value > limit) return Error(Code::kInvalidArgument, "metadata '{}': {}, expected 1 to {}", key, value, limit);
  return value;
}

Result<uint32_t> ReadDimensionOr(const GgufFile& file, std::string_view key, uint32_t limit, uint32_t fallback) {
  return file.Has(key) ? ReadDimension(file, key, limit) : fallback;
}

Result<uint32_t> ReadHeadDim(const GgufFile& file, uint32_t hidden, uint32_t heads) {
  uint32_t head_dim = hidden / heads;
  if (file.Has("llama.attention.key_length")) {
    ASSIGN_OR_RETURN(head_dim, ReadDimension(file, "llama.attention.key_length", kMaxHeadDim));
  } else if (hidden % heads != 0) {
    return Error(Code::kInvalidArgument,
                 "metadata 'llama.embedding_length': {} is no multiple of llama.attention.head_count {}, and there "
                 "is no llama.attention.key_length",
                 hidden, heads);
  }
  if (head_dim > kMaxHeadDim) return Error(Code::kInvalidArgument, "head size {}, expected at most {}", head_dim, kMaxHeadDim);
  if (head_dim % 2 != 0) return Error(Code::kInvalidArgument, "head size {}, expected an even number for rope", head_dim);
  ASSIGN_OR_RETURN(const uint32_t value_length, ReadDimensionOr(file, "llama.attention.value_length", kMaxHeadDim, head_dim));
  if (value_length != head_dim) {
    return Error(Code::kUnsupported, "metadata 'llama.attention.value_length': {}, expected the size of keys, {}", value_length,
                 head_dim);
  }
  return head_dim;
}

Result<LayerConfig> ReadLayer(const GgufFile& file, uint32_t hidden) {
  LayerConfig layer;
  ASSIGN_OR_RETURN(layer.heads, ReadDimension(file, "llama.attention.head_count", kMaxHeads));
  ASSIGN_OR_RETURN(layer.kv_heads, ReadDimensionOr(file, "llama.attention.head_count_kv", kMaxHeads, layer.heads));
  if (layer.heads % layer.kv_heads != 0) {
    return Error(Code::kInvalidArgument,
                 "metadata 'llama.attention.head_count_kv': {} does not divide llama.attention.head_count {}", layer.kv_heads,
                 layer.heads);
  }
  ASSIGN_OR_RETURN(layer.head_dim, ReadHeadDim(file, hidden, layer.heads));
  ASSIGN_OR_RETURN(layer.ffn, ReadDimension(file, "llama.feed_forward_length", kMaxFfn));
  layer.activation = Activation::kSilu;
  return layer;
}

Result<RopeConfig> ReadRope(const GgufFile& file, uint32_t head_dim) {
  RopeConfig rope;
  rope.style = RopeStyle::kAdjacentPairs;
  ASSIGN_OR_RETURN(rope.dims, ReadDimensionOr(file, "llama.rope.dimension_count", kMaxHeadDim, head_dim));
  if (rope.dims > head_dim || rope.dims % 2 != 0) {
    return Error(Code::kInvalidArgument,
                 "metadata 'llama.rope.dimension_count': {}, expected an even number of at most the head size {}", rope.dims,
                 head_dim);
  }
  ASSIGN_OR_RETURN(const float base, file.GetF32Or("llama.rope.freq_base", 10000.0F));
  if (!(base >= 1.0F && base <= kMaxRopeBase)) {  // also refuses NaN
    return Error(Code::kInvalidArgument, "metadata 'llama.rope.freq_base': {}, expected 1 to {}", base, kMaxRopeBase);
  }
  rope.base = base;
  return rope;
}

// The embedding's rows are the truth about the vocabulary's size; the metadata may repeat it.
Result<uint32_t> ReadVocab(const GgufFile& file) {
  const weights::TensorView* embedding = file.FindTensor("token_embd.weight");
  if (embedding == nullptr) return Error(Code::kDataLoss, "tensor 'token_embd.weight': missing");
  if (embedding->rows > kMaxVocab) {
    return Error(Code::kInvalidArgument, "tensor 'token_embd.weight': {} rows, expected at most {}", embedding->rows, kMaxVocab);
  }
  const auto rows = static_cast<uint32_t>(embedding->rows);
  ASSIGN_OR_RETURN(const uint32_t claimed, ReadDimensionOr(file, "llama.vocab_size", kMaxVocab, rows));
  if (claimed != rows) {
    return Error(Code::kDataLoss, "metadata 'llama.vocab_size': {}, but tensor 'token_embd.weight' has {} rows", claimed, rows);
  }
  return rows;
}

Result<ModelConfig> ReadConfig(const GgufFile& file) {
  RETURN_IF_ERROR(CheckNothingUnsupported(file));
  ModelConfig config;
  config.family = "llama";
  if (file.Has("general.name")) {
    ASSIGN_OR_RETURN(const auto name, file.GetString("general.name"));
    config.name = weights::ShownText(name);
  }
  ASSIGN_OR_RETURN(config.hidden, ReadDimension(file, "llama.embedding_length", kMaxHidden));
  ASSIGN_OR_RETURN(config.context_length, ReadDimension(file, "llama.context_length", kMaxContext));
  ASSIGN_OR_RETURN(const uint32_t layers, ReadDimension(file, "llama.block_count", kMaxLayers));
  ASSIGN_OR_RETURN(const LayerConfig layer, ReadLayer(file, config.hidden));
  config.layers.assign(layers, layer);
  ASSIGN_OR_RETURN(config.rope, ReadRope(file, layer.head_dim));
  ASSIGN_OR_RETURN(config.norm_epsilon, file.GetF32("llama.attention.layer_norm_rms_epsilon"));
  if (!(config.norm_epsilon > 0 && config.norm_epsilon < 1)) {
    return Error(Code::kInvalidArgument,
                 "metadata 'llama.attention.layer_norm_rms_epsilon': {}, expected a number between 0 and 1", config.norm_epsilon);
  }
  ASSIGN_OR_RETURN(config.vocab, ReadVocab(file));
  config.tied_head = file.FindTensor("output.weight") == nullptr;
  return config;
}

}  // namespace

Family LlamaFamily() { return {.architecture = "llama", .read_config = &ReadConfig, .tensors = kTensors}; }

}  // namespace millrace::model
