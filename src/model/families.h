// The table of model families: what a file calls its architecture, how its metadata becomes a ModelConfig, and what its tensors
// are called. A family is data; nothing outside families/ and this table asks which family a model belongs to.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "model/config.h"
#include "weights/gguf.h"

namespace millrace::model {

struct TensorName {
  Role role;
  std::string_view pattern;  // "blk.{}.attn_q.weight": {} is the layer; without {} there is one for the whole model
  bool optional = false;
};

struct Family {
  std::string_view architecture;  // value of general.architecture

  // Reads and checks the metadata (ranges, divisibility, keys that mean something this build does not do). Sets tied_head and
  // vocab from the tensors. Shapes are checked afterwards, by ModelFile.
  Result<ModelConfig> (*read_config)(const weights::GgufFile& file);

  std::span<const TensorName> tensors;
};

std::span<const Family> Families();

// kUnsupported, listing the known ones.
Result<const Family*> FindFamily(std::string_view architecture);

// The name of a role's tensor in this family's files.
std::string NameOf(const TensorName& name, uint32_t layer);
constexpr bool IsPerLayer(Role role) { return role >= Role::kAttnNorm; }

// Rows and columns that the role must have. `meaning` says them in the words of ModelConfig, for messages.
struct Shape {
  uint64_t rows;
  uint64_t cols;
  std::string_view meaning;
};
Shape ShapeOf(Role role, const ModelConfig& config, uint32_t layer);

// Norm weights: one row, kept as f32.
constexpr bool IsNorm(Role role) { return role == Role::kOutputNorm || role == Role::kAttnNorm || role == Role::kMlpNorm; }

// One function for each file of families/.
Family LlamaFamily();

}  // namespace millrace::model
