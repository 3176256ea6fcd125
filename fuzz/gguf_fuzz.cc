// GGUF bytes through everything that reads a model file's metadata: reader, typed access, family, vocabulary, sizes.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "base/check.h"
#include "model/active_bytes.h"
#include "model/chat_template_source.h"
#include "model/memory_plan.h"
#include "model/model_file.h"
#include "model/model_source.h"
#include "model/vocabulary_from_gguf.h"
#include "text/vocabulary.h"
#include "weights/gguf.h"

namespace {

using millrace::weights::GgufFile;
using millrace::weights::TensorView;

bool Inside(const GgufFile& file, const void* data, size_t size) {
  const auto begin = reinterpret_cast<uintptr_t>(file.bytes().data());
  const auto at = reinterpret_cast<uintptr_t>(data);
  return size == 0 || (at >= begin && at - begin <= file.bytes().size() && size <= file.bytes().size() - (at - begin));
}

// Everything that the reader lets through must lie in the file, and every getter must answer for every key.
void TouchAll(const GgufFile& file) {
  for (const TensorView& tensor : file.tensors()) {
    CHECK(tensor.data.size() == tensor.rows * tensor.row_bytes(), "a tensor has as many bytes as its shape says");
    CHECK(Inside(file, tensor.data.data(), tensor.data.size()), "tensor data lies in the file");
    CHECK(file.FindTensor(tensor.name) == &tensor, "a tensor is found by its name");
  }
  for (const auto& entry : file.metadata()) {
    CHECK(file.Find(entry.key) == &entry, "an entry is found by its key");
    (void)file.GetU64(entry.key);
    (void)file.GetU32(entry.key);
    (void)file.GetF32(entry.key);
    (void)file.GetBool(entry.key);
    (void)file.GetString(entry.key);
    (void)file.GetI32Array(entry.key);
    (void)file.GetF32Array(entry.key);
    const auto strings = file.GetStringArray(entry.key);
    if (!strings.ok()) continue;
    for (const std::string_view text : *strings) CHECK(Inside(file, text.data(), text.size()), "a string lies in the file");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto gguf = GgufFile::Parse(bytes);
  if (gguf.ok()) {
    TouchAll(*gguf);
    if (const auto source = millrace::model::ModelSource::ParseGguf(bytes); source.ok()) {
      (void)millrace::model::ChatTemplatesOf(*source);
      (void)millrace::model::ChatTokensOf(*source);
    }
    const auto* tokens = gguf->Find("tokenizer.ggml.tokens");
    auto spec = millrace::model::TokenizerSpecFromGguf(*gguf, tokens == nullptr ? 0 : static_cast<uint32_t>(tokens->count));
    if (spec.ok()) (void)millrace::text::Vocabulary::Build(*spec);
  }
  const auto file = millrace::model::ModelFile::Parse(bytes);
  if (!file.ok()) {
    CHECK(!file.status().message().empty(), "an error says why");
    return 0;
  }
  CHECK(gguf.ok(), "a model file is a GGUF file");
  const auto weights = millrace::model::WeightBytesOf(*file);
  CHECK(weights.resident() == file->gguf().tensor_bytes(), "every tensor is counted once");
  const auto plan = millrace::model::PlanMemory(file->config(), weights, {});
  if (plan.ok()) (void)plan->CheckFits(size);
  return 0;
}
