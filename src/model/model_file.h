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

  // `layer` only matters for roles that each layer has. Asking for the head of a model whose head is tied gives the embedding.
  weights::TensorView Tensor(Role role, uint32_t layer = 0) const;

 private:
  ModelFile(weights::GgufFile gguf, ModelConfig config) : gguf_(std::move(gguf)), config_(std::move(config)) {}

  Status TakeTensors(const Family& family);
  Status TakeTensor(const TensorName& name, uint32_t layer, std::vector<const weights::TensorView*>& used);
  Status CheckAllUsed(std::vector<const weights::TensorView*> used) const;
  size_t IndexOf(Role role, uint32_t layer) const;

  weights::GgufFile gguf_;
  ModelConfig config_;
  std::vector<weights::TensorView> tensors_;  // [3 of the model, then 9 for each layer], by IndexOf
};

}  // namespace millrace::model
