// The table of model families: what a file calls its architecture, how its metadata becomes a ModelConfig, and what its tensors
// are called. A family is data; nothing outside families/ and this table asks which family a model belongs to.
//
// A family has two forms. GGUF files: general.architecture, metadata keys, names like "blk.0.attn_q.weight". Checkpoints in the manner
// of Hugging Face (and MLX): config.json with model_type, names like "model.layers.0.self_attn.q_proj.weight".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/config.h"
#include "model/metadata.h"

namespace millrace::model {

// The name of one role's tensor. {} is the layer; without {} there is one for the whole model. A second {} is the expert: the tensors
// of all experts make up the role's rows. An empty name does not exist in that form.
struct TensorName {
  Role role;
  std::string_view gguf;
  std::string_view checkpoint;
  // How many roles, this one and those after it in order, share the tensor's rows: 3 for a fused QKV, 2 for a fused gate and up.
  uint8_t fused = 1;
  // What a checkpoint leaves out of every element; GGUF files hold whole values.
  float checkpoint_offset = 0;
};

struct Family {
  std::string_view name;                            // ModelConfig::family
  std::span<const std::string_view> architectures;  // values of general.architecture
  std::span<const std::string_view> model_types;    // values of model_type

  // Reads and checks the metadata (ranges, divisibility, keys that mean something this build does not do). `vocab` and `tied_head`
  // are not its business: ModelFile takes them from the tensors. Shapes are checked afterwards, by ModelFile.
  Result<ModelConfig> (*read_config)(const Metadata& metadata);

  std::span<const TensorName> tensors;
  // Tensors of GGUF files that read_config reads itself ("rope_freqs.weight").
  std::span<const std::string_view> config_tensors = {};
  // What "tie_word_embeddings" means in a config.json that lacks it: the default of the family's configuration in transformers.
  bool tied_by_default = false;
};

std::span<const Family> Families();

// By architecture or model type. kUnsupported, naming the nearest and listing the known ones.
Result<const Family*> FindFamily(const Metadata& metadata);

// The pattern with layer and expert filled in.
std::string NameOf(std::string_view pattern, uint32_t layer, uint32_t expert = 0);
constexpr bool IsPerLayer(Role role) { return role >= Role::kAttnNorm; }
constexpr bool IsExpert(Role role) { return role >= Role::kExpertGate; }
// The roles that share a fused tensor follow each other.
constexpr Role RoleAfter(Role role, uint32_t by) { return static_cast<Role>(static_cast<uint32_t>(role) + by); }
// Whether a name of experts is that of one expert: it counts layers and experts.
constexpr bool HoldsOneExpert(std::string_view pattern) { return pattern.find("{}") != pattern.rfind("{}"); }

// The roles that a model of this configuration must have in a layer, or (IsPerLayer false) once. Biases and an untied head are not
// among them: they may be there or not.
std::vector<Role> RequiredRoles(const ModelConfig& config, const LayerConfig& layer);
// True when a tensor of that role would be used: required, or an optional one whose op exists in this layer.
bool IsUsed(Role role, const ModelConfig& config, const LayerConfig& layer);

// Rows and columns that the role must have. `meaning` says them in the words of ModelConfig, for messages.
struct Shape {
  uint64_t rows;
  uint64_t cols;
  std::string_view meaning;
};
Shape ShapeOf(Role role, const ModelConfig& config, uint32_t layer);

// Norm weights and biases: one row, kept as f32.
bool IsVector(Role role);

// One function for each file of families/.
Family LlamaFamily();
Family MistralFamily();
Family SmolLm3Family();
Family Qwen2Family();
Family Qwen3Family();
Family Qwen3MoeFamily();
Family Gemma2Family();
Family Gemma3Family();
Family Phi3Family();
Family GraniteFamily();
Family Olmo2Family();
Family StarCoder2Family();

}  // namespace millrace::model
