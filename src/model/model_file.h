// ModelFile: a model's configuration and its tensors by role, all checked against each other, over bytes that someone else keeps
// (mappings of one GGUF file, or of the files of a checkpoint directory). It opens nothing and copies no weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "model/config.h"
#include "model/families.h"
#include "model/model_source.h"
#include "weights/affine_quantize.h"
#include "weights/gguf.h"
#include "weights/tensor_view.h"

namespace millrace::model {

// Movable; immutable after Parse, any thread may read it. Everything it hands out points into the bytes given to Parse.
class ModelFile {
 public:
  // Fails with the readers' errors (weights/gguf.h, model/checkpoint.h), kUnsupported for an unknown architecture or a tensor that the
  // family has no use for (leaving it out would silently change the model), kDataLoss for a missing tensor or one of the wrong shape. The
  // caller adds the path with Status::Within.
  //
  // The head is tied to the embedding: in GGUF when the file has none; in a checkpoint when config.json says so with
  // "tie_word_embeddings", or the family does where the key is absent. A head that lies in a checkpoint all the same is left aside if the
  // configuration says tied, or if its bytes are those of the embedding; else the file contradicts itself.
  static Result<ModelFile> Parse(std::span<const NamedFile> files, const weights::GgufLimits& limits = {});
  // One GGUF file.
  static Result<ModelFile> Parse(std::span<const std::byte> bytes, const weights::GgufLimits& limits = {});
  static Result<ModelFile> Of(ModelSource source);

  const ModelConfig& config() const { return config_; }
  const ModelSource& source() const { return source_; }
  const weights::GgufFile& gguf() const { return source_.gguf(); }  // of a GGUF file only

  // `layer` only matters for roles that each layer has.
  bool Has(Role role, uint32_t layer = 0) const;
  // The tensor of a role that is there (Has). Asking for the head of a model whose head is tied gives the embedding. An expert role
  // gives the matrices of all experts one after the other; where each expert has a tensor of its own, ask Expert instead.
  weights::TensorView Tensor(Role role, uint32_t layer = 0) const;
  // The matrix of one expert, be it a part of Tensor(role, layer) or a tensor of its own.
  weights::TensorView Expert(Role role, uint32_t layer, uint32_t expert) const;
  // What the role takes in its file, of all experts; 0 where it is not there.
  uint64_t SourceBytes(Role role, uint32_t layer = 0) const;

  // Replaces every matrix of floats but the router's by one of MLX's affine format (weights/affine_quantize.h) with 4 or 8 bits and groups of
  // 64 columns, 32 where 64 does not divide them; where neither does, the floats stay. The model then owns those matrices: this takes
  // their memory. kInvalidArgument, nothing changed, where there is no such matrix. Before the model is shared with other threads.
  //
  // `for_rows(rows, fill)` calls fill(begin, end) for parts that together are all rows, on any threads, and returns when all are done.
  // `progress` counts matrices; both run on the caller's thread.
  using FillRows = std::function<void(uint64_t begin, uint64_t end)>;
  using ForRows = std::function<void(uint64_t rows, const FillRows& fill)>;
  Status Quantise(uint32_t bits, const ForRows& for_rows, const std::function<void(size_t done, size_t total)>& progress);

 private:
  ModelFile(ModelSource source, ModelConfig config) : source_(std::move(source)), config_(std::move(config)) {}

  Status TakeEnds(const Family& family);
  Result<bool> IsTied(const Family& family, const weights::TensorView& embedding);
  Status TakeTensors(const Family& family);
  Status TakeTensor(const TensorName& name, uint32_t layer);
  Status TakeExperts(const TensorName& name, uint32_t layer);
  Status TakeWhole(const TensorName& name, uint32_t layer, weights::TensorView tensor);
  Status CheckComplete(const Family& family) const;
  Status CheckAllUsed(const Family& family);
  // A tensor of the source that is put to use; null when there is none of that name.
  const weights::TensorView* Use(const std::string& name);
  // A failure about a tensor of the source, with the name of the file that holds it.
  Status InShard(const weights::TensorView& tensor, Status status) const;
  std::string_view NameIn(const TensorName& name) const { return source_.is_gguf() ? name.gguf : name.checkpoint; }
  weights::TensorView& At(Role role, uint32_t layer) { return tensors_[IndexOf(role, layer)]; }
  size_t IndexOf(Role role, uint32_t layer) const;
  std::vector<weights::TensorView*> FloatMatrices();

  ModelSource source_;
  ModelConfig config_;
  std::vector<weights::TensorView> tensors_;  // roles of the model, then those of each layer, by IndexOf; absent: no data
  std::map<size_t, std::vector<weights::TensorView>> experts_;  // by IndexOf, of roles whose experts lie apart
  std::vector<const weights::TensorView*> used_;
  std::vector<weights::AffineMatrix> quantised_;  // what Quantise made
};

}  // namespace millrace::model
