// A model's architecture as data. A family (families/<name>.cc) fills it from a file's metadata; the decoder, ActiveBytes and
// MemoryPlan read it; no other code asks which family a model belongs to.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::model {

// Which two elements of a head form a rotated pair.
enum class RopeStyle : uint8_t {
  kAdjacentPairs,  // (2i, 2i + 1): the order of GGUF files of the llama family
  kHalves,         // (i, i + dims / 2): the order of Hugging Face checkpoints
};

// Rotary position embedding: pair i at position p turns by the angle p * frequencies[i], and is multiplied by `magnitude` (yarn and
// longrope raise it above 1). model/rope.h makes the frequencies from what files say.
struct RopeConfig {
  RopeStyle style = RopeStyle::kHalves;
  std::vector<double> frequencies;  // radians per position; empty = no rotation
  float magnitude = 1;

  uint32_t dims() const { return static_cast<uint32_t>(2 * frequencies.size()); }  // leading elements of a head that are rotated
  bool operator==(const RopeConfig&) const = default;
};

enum class Activation : uint8_t {
  kSilu,      // x / (1 + exp(-x))
  kGeluTanh,  // 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
};

// y = x / sqrt(mean(x^2) + epsilon) * weight, or y = (x - mean) / sqrt(variance + epsilon) * weight + bias.
enum class NormKind : uint8_t { kRms, kLayer };

// Where a layer normalises: before attention and MLP, after them (before the residual is added), or both.
enum class NormPlacement : uint8_t { kPre, kPost, kBoth };

// RMS norms of queries and keys before rope.
enum class QkNorm : uint8_t {
  kNone,
  kPerHead,    // each head by itself, weight [head_dim]
  kFullWidth,  // all heads together, weights [heads * head_dim] and [kv_heads * head_dim]
};

enum class MlpKind : uint8_t {
  kGated,    // down(act(gate x) * up x)
  kPlain,    // down(act(up x))
  kExperts,  // the sum of some of many gated MLPs, chosen per token by a router
};

struct ExpertsConfig {
  uint32_t count = 0;        // experts of the layer
  uint32_t used = 0;         // of each token
  uint32_t ffn = 0;          // inner width of one expert
  bool renormalise = false;  // the softmax weights of the chosen are divided by their sum
};

// One decoder layer: norm, attention, norm, residual, norm, MLP, norm, residual; which norms there are says norm_placement.
struct LayerConfig {
  uint32_t heads = 0;  // query heads; a multiple of kv_heads
  uint32_t kv_heads = 0;
  uint32_t head_dim = 0;
  int32_t rope = 0;             // index into ModelConfig::ropes; -1 = this layer does not rotate
  uint32_t window = 0;          // positions that a token sees, its own included; 0 = all
  float attention_scale = 0;    // factor of q . k
  float attention_softcap = 0;  // scores become cap * tanh(score / cap); 0 = they do not
  QkNorm qk_norm = QkNorm::kNone;
  MlpKind mlp = MlpKind::kGated;
  uint32_t ffn = 0;  // inner width of the MLP; 0 for experts
  ExpertsConfig experts{};
  Activation activation = Activation::kSilu;
};

struct ModelConfig {
  std::string family;  // "llama"
  std::string name;    // what the file calls itself; for people only
  uint32_t hidden = 0;
  uint32_t vocab = 0;
  uint32_t context_length = 0;  // what the model was trained for
  NormKind norm = NormKind::kRms;
  float norm_epsilon = 0;
  NormPlacement norm_placement = NormPlacement::kPre;
  std::vector<RopeConfig> ropes;  // one, or one for each kind of layer
  float embedding_scale = 1;      // factor of the embedding's rows
  float residual_scale = 1;       // factor of what attention and MLP add to the residual stream
  float logit_scale = 1;          // factor of the logits
  float logit_softcap = 0;        // logits become cap * tanh(logit / cap), after the factor; 0 = they do not
  bool tied_head = false;         // the token embedding is also the output head
  std::vector<LayerConfig> layers;
};

// What a tensor is for, independent of its name in any file format. Shapes are [rows, cols], cols contiguous; biases and norms are
// vectors. Which roles a layer has follows from its LayerConfig (families.h, RolesOf); biases may be absent.
enum class Role : uint8_t {
  kEmbedding,       // [vocab, hidden]
  kOutputNorm,      // [hidden]
  kOutputNormBias,  // [hidden]; layer norm only
  kHead,            // [vocab, hidden]; absent when tied
  // Of each layer from here on.
  kAttnNorm,      // [hidden]
  kAttnNormBias,  // [hidden]
  kQuery,         // [heads * head_dim, hidden]
  kKey,           // [kv_heads * head_dim, hidden]
  kValue,         // [kv_heads * head_dim, hidden]
  kQueryBias,     // [heads * head_dim]
  kKeyBias,       // [kv_heads * head_dim]
  kValueBias,     // [kv_heads * head_dim]
  kQueryNorm,     // [head_dim] or [heads * head_dim]
  kKeyNorm,       // [head_dim] or [kv_heads * head_dim]
  kAttnOut,       // [hidden, heads * head_dim]
  kAttnOutBias,   // [hidden]
  kAttnPostNorm,  // [hidden]
  kMlpNorm,       // [hidden]
  kMlpNormBias,   // [hidden]
  kGate,          // [ffn, hidden]
  kUp,            // [ffn, hidden]
  kDown,          // [hidden, ffn]
  kUpBias,        // [ffn]
  kDownBias,      // [hidden]
  kMlpPostNorm,   // [hidden]
  kRouter,        // [experts, hidden]
  kExpertGate,    // [experts * expert ffn, hidden], one expert after the other
  kExpertUp,      // [experts * expert ffn, hidden]
  kExpertDown,    // [experts * hidden, expert ffn]
};
inline constexpr size_t kRoleCount = static_cast<size_t>(Role::kExpertDown) + 1;

// How keys and values are stored. f32 belongs to the float reference mode.
enum class KvType : uint8_t { kF16, kF32 };
constexpr uint32_t KvBytes(KvType type) { return type == KvType::kF16 ? 2 : 4; }

}  // namespace millrace::model
