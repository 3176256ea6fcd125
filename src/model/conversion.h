// Turning a model of any form into a checkpoint directory in MLX's form: what each tensor becomes, and where it goes. Planned from names and
// shapes alone, so that sizes are known before a weight is read; convert_tensor.h does the work.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/model_file.h"
#include "model/quantisation.h"
#include "weights/safetensors_writer.h"
#include "weights/tensor_view.h"

namespace millrace::model {

inline constexpr uint32_t kFloatBits = 16;  // ConversionTarget::bits for matrices in f16
inline constexpr uint64_t kShardBytes = 5'000'000'000;

struct ConversionTarget {
  AffineFormat format{.group = 64, .bits = 4};  // bits 4, 6, 8 or kFloatBits, where the group does not matter
  uint64_t shard_bytes = kShardBytes;
};

// What happens to a tensor. Values stay what they are under kCopied and kConverted.
enum class Change : uint8_t {
  kCopied,       // the same bytes
  kConverted,    // the same values in another layout: blocks of 32 that are affine groups as they stand
  kRequantised,  // rounded to new codes
  kFloats,       // to f16 (vectors: to f16 where that loses nothing, else f32)
};
std::string_view ChangeName(Change change);

// Where a row of the checkpoint lies in a file that turns adjacent pairs: inside every `head` rows the first `dims` are pairs there, halves
// here. head 0: every row is where it was.
struct RowOrder {
  uint32_t head = 0;
  uint32_t dims = 0;

  uint64_t SourceOf(uint64_t row) const {
    if (head == 0) return row;
    const uint64_t at = row % head;
    const uint64_t half = dims / 2;
    return at >= dims ? row : row - at + (at < half ? 2 * at : 2 * (at - half) + 1);
  }
};

struct PlannedTensor {
  std::string name;  // "model.layers.0.mlp.up_proj.weight"
  Role role = Role::kEmbedding;
  std::vector<weights::TensorView> parts;  // their rows one after the other; one part of a vector
  bool vector = false;
  Change change = Change::kFloats;
  RowOrder order;             // of rows, or of a vector's elements
  float offset = 0;           // taken from every element of a vector
  AffineFormat format;        // of matrices that do not become floats
  DType dtype = DType::kF16;  // of the floats, or of scales and biases
  uint64_t rows = 1;
  uint64_t cols = 0;
  std::vector<weights::SafetensorsEntry> entries;  // the floats; or codes, scales, biases

  bool affine() const { return entries.size() == 3; }
  uint64_t bytes() const;
};

struct PlannedShard {
  std::string name;
  size_t begin = 0;  // of ConversionPlan::tensors
  size_t end = 0;
  std::vector<weights::SafetensorsEntry> entries;
};

struct ConversionPlan {
  std::vector<PlannedTensor> tensors;
  std::vector<PlannedShard> shards;
  std::string index;  // model.safetensors.index.json; empty for one shard
  bool all_floats = false;

  uint64_t elements() const;
  uint64_t bytes() const;  // of all shards, headers included
};

// Views of the file, which outlives the plan. kInvalidArgument for a target that there is not; kUnsupported when no matrix has rows that the
// group divides.
Result<ConversionPlan> PlanConversion(const ModelFile& file, const ConversionTarget& target);

}  // namespace millrace::model
