// Checkpoint: a model in the manner of Hugging Face and MLX, as its files: config.json, *.safetensors, and what belongs to the text. Parsed
// and joined to tensors, not yet understood (model_file.h does that).
//
// Shards: with model.safetensors.index.json those that it names, and index and shards must agree tensor by tensor; without it every
// *.safetensors file. A matrix that MLX quantised, "X.weight" in U32 with "X.scales" and "X.biases", becomes one tensor of an affine type.
// Buffers that belong to no weight ("rotary_emb.inv_freq") are left out.
//
// Everything points into the bytes given to Parse, or into the checkpoint itself; both outlive what they handed out. Movable, then what was
// handed out stays valid; immutable after Parse.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "model/named_file.h"
#include "model/quantisation.h"
#include "weights/safetensors.h"
#include "weights/tensor_view.h"

namespace millrace::model {

// The shards that an index names, each once, ascending. kDataLoss for names that are no plain *.safetensors file names.
Result<std::vector<std::string>> ShardsOfIndex(std::string_view index_json);

class Checkpoint {
 public:
  // `files` in any order; those that it has no use for are left alone. kNotFound for a missing config.json or shard; kDataLoss where files
  // contradict each other; kUnsupported for quantisation and element types that this build does not know. Messages begin with the name
  // of the file.
  static Result<Checkpoint> Parse(std::span<const NamedFile> files);

  Checkpoint(Checkpoint&&) = default;
  Checkpoint& operator=(Checkpoint&&) = default;

  const Json& config() const { return *config_; }                            // an object; its address never changes
  std::span<const weights::TensorView> tensors() const { return tensors_; }  // by name
  const weights::TensorView* FindTensor(std::string_view name) const;
  // The shard that holds a tensor of tensors().
  std::string_view ShardOf(const weights::TensorView& tensor) const;
  // A file that was given to Parse; nothing: an empty name.
  NamedFile File(std::string_view name) const;
  std::span<const NamedFile> files() const { return files_; }  // all that were given to Parse

 private:
  struct Raw {
    const weights::SafetensorsTensor* tensor;
    uint32_t shard;
  };

  Checkpoint() = default;
  Status ReadShards();
  Status CollectTensors(std::vector<Raw>& raws) const;
  Status CheckIndex(std::string_view index_json, const std::vector<Raw>& raws) const;
  Status TakeTensors(const std::vector<Raw>& raws);
  Status Within(const Raw& raw, const Status& status) const;

  std::vector<NamedFile> files_;
  std::unique_ptr<const Json> config_;
  Quantisation quantisation_;
  std::vector<std::string_view> shard_names_;
  std::vector<weights::SafetensorsFile> shards_;
  std::vector<weights::TensorView> tensors_;
  std::vector<uint32_t> shard_of_;  // of each tensor
};

}  // namespace millrace::model
