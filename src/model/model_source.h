// ModelSource: the files of a model, parsed into tensors and metadata, not yet understood. Either one GGUF file or a checkpoint directory
// in the manner of Hugging Face and MLX; whoever reads a model asks here and need not know which.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/status.h"
#include "model/checkpoint.h"
#include "model/metadata.h"
#include "model/named_file.h"
#include "weights/gguf.h"

namespace millrace::model {

// Points into the bytes given to Parse, which outlive it. Movable (what it handed out stays valid), immutable after Parse.
class ModelSource {
 public:
  // One file that is neither config.json nor *.safetensors is a GGUF file; everything else is a checkpoint. Errors are those of the readers.
  static Result<ModelSource> Parse(std::span<const NamedFile> files, const weights::GgufLimits& limits = {});
  static Result<ModelSource> ParseGguf(std::span<const std::byte> bytes, const weights::GgufLimits& limits = {});

  bool is_gguf() const { return std::holds_alternative<weights::GgufFile>(form_); }
  const weights::GgufFile& gguf() const;  // is_gguf()
  const Checkpoint& checkpoint() const;   // otherwise
  Result<Metadata> ReadMetadata() const;  // a view of this source
  std::string FormText() const;           // "GGUF v3", "safetensors"

  std::span<const weights::TensorView> tensors() const;
  const weights::TensorView* FindTensor(std::string_view name) const;

 private:
  explicit ModelSource(weights::GgufFile gguf) : form_(std::move(gguf)) {}
  explicit ModelSource(Checkpoint checkpoint) : form_(std::move(checkpoint)) {}

  std::variant<weights::GgufFile, Checkpoint> form_;
};

}  // namespace millrace::model
