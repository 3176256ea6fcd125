// ModelFile: a model's configuration and its tensors by role, all checked against each other, over bytes that someone else keeps
// (a mapping of the file). It opens nothing and copies no weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "model/config.h"
#include "model/families.h"
#include "weights/gguf.h"
#include "weights/tensor_view.h"

namespace millrace::model {

// Movable; immutable after Parse, any thread may read it. Everything it hands out points into the bytes given to Parse.
class ModelFile {
 public:
  // Fails with the reader's errors (weights/gguf.h), kUnsupported for an unknown architecture or a tensor that the family has no
  // use for (leaving it out would silently change the model), kDataLoss for a missing tensor or one of the wrong shape. The
  // caller adds the path with Status::Within.
  static Result<ModelFile> Parse(std::span<const std::byte> bytes, const weights::GgufLimits& limits = {});

  const ModelConfig& config() const { return config_; }
  const weights::GgufFile& gguf() const { return gguf_; }

  // `layer` only matters for roles that each layer has.
  bool Has(Role role, uint32_t layer = 0) const;
  // The tensor of a role that is there (Has). Asking for the head of a model whose head is tied gives the embedding. An expert role
  // gives the matrices of all experts one after the other.
  weights::TensorView Tensor(Role role, uint32_t layer = 0) const;
  // The matrix of one expert: Tensor(role, layer), cut into as many parts as there are experts.
  weights::TensorView Expert(Role role, uint32_t layer, uint32_t expert) const;

 private:
  ModelFile(weights::GgufFile gguf, ModelConfig config) : gguf_(std::move(gguf)), config_(std::move(config)) {}

  Status TakeEnds();
  Status TakeTensors(const Family& family);
  Status TakeTensor(const TensorName& name, uint32_t layer);
  Status CheckComplete(const Family& family) const;
  Status CheckAllUsed(const Family& family);
  weights::TensorView& At(Role role, uint32_t layer) { return tensors_[IndexOf(role, layer)]; }
  size_t IndexOf(Role role, uint32_t layer) const;

  weights::GgufFile gguf_;
  ModelConfig config_;
  std::vector<weights::TensorView> tensors_;  // roles of the model, then those of each layer, by IndexOf; absent: no data
  std::vector<const weights::TensorView*> used_;
};

}  // namespace millrace::model
