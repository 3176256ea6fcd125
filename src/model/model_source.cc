#include "model/model_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "weights/shown_text.h"

namespace millrace::model {

Result<ModelSource> ModelSource::Parse(std::span<const NamedFile> files, const weights::GgufLimits& limits) {
  const bool of_checkpoint = std::any_of(files.begin(), files.end(), [](const NamedFile& file) {
    return file.name == kConfigFile || file.name.ends_with(kShardSuffix);
  });
  if (files.size() == 1 && !of_checkpoint) return ParseGguf(files[0].bytes, limits);
  ASSIGN_OR_RETURN(auto checkpoint, Checkpoint::Parse(files));
  return ModelSource(std::move(checkpoint));
}

Result<ModelSource> ModelSource::ParseGguf(std::span<const std::byte> bytes, const weights::GgufLimits& limits) {
  ASSIGN_OR_RETURN(auto gguf, weights::GgufFile::Parse(bytes, limits));
  return ModelSource(std::move(gguf));
}

const weights::GgufFile& ModelSource::gguf() const {
  CHECK(is_gguf(), "only a GGUF file is asked for what is GGUF's");
  return std::get<weights::GgufFile>(form_);
}

const Checkpoint& ModelSource::checkpoint() const {
  CHECK(!is_gguf(), "only a checkpoint is asked for its files");
  return std::get<Checkpoint>(form_);
}

Result<Metadata> ModelSource::ReadMetadata() const {
  return is_gguf() ? Metadata::Of(gguf()) : Metadata::Of(checkpoint().config());
}

std::string ModelSource::FormText() const {
  return is_gguf() ? fmt::format("GGUF v{}", gguf().version()) : std::string("safetensors");
}

std::span<const weights::TensorView> ModelSource::tensors() const {
  return is_gguf() ? gguf().tensors() : checkpoint().tensors();
}

const weights::TensorView* ModelSource::FindTensor(std::string_view name) const {
  return is_gguf() ? gguf().FindTensor(name) : checkpoint().FindTensor(name);
}

}  // namespace millrace::model
