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

struct RopeConfig {
  RopeStyle style = RopeStyle::kHalves;
  uint32_t dims = 0;  // leading elements of a head that are rotated; even, <= head_dim
  double base = 10000.0;
};

enum class Activation : uint8_t { kSilu };

// One decoder layer: norm, attention, residual, norm, gated MLP, residual.
struct LayerConfig {
  uint32_t heads = 0;  // query heads; a multiple of kv_heads
  uint32_t kv_heads = 0;
  uint32_t head_dim = 0;
  uint32_t ffn = 0;  // inner width of the MLP
  Activation activation = Activation::kSilu;
};

struct ModelConfig {
  std::string family;  // "llama"
  std::string name;    // what the file calls itself; for people only
  uint32_t hidden = 0;
  uint32_t vocab = 0;
  uint32_t context_length = 0;  // what the model was trained for
  float norm_epsilon = 0;
  RopeConfig rope;
  bool tied_head = false;  // the token embedding is also the output head
  std::vector<LayerConfig> layers;
};

// What a tensor is for, independent of its name in any file format. Shapes are [rows, cols], cols contiguous.
enum class Role : uint8_t {
  kEmbedding,   // [vocab, hidden]
  kOutputNorm,  // [hidden]
  kHead,        // [vocab, hidden]; absent when tied
  kAttnNorm,    // [hidden]
  kQuery,       // [heads * head_dim, hidden]
  kKey,         // [kv_heads * head_dim, hidden]
  kValue,       // [kv_heads * head_dim, hidden]
  kAttnOut,     // [hidden, heads * head_dim]
  kMlpNorm,     // [hidden]
  kGate,        // [ffn, hidden]
  kUp,          // [ffn, hidden]
  kDown,        // [hidden, ffn]
};

// How keys and values are stored. f32 belongs to the float reference mode.
enum class KvType : uint8_t { kF16, kF32 };
constexpr uint32_t KvBytes(KvType type) { return type == KvType::kF16 ? 2 : 4; }

}  // namespace millrace::model
