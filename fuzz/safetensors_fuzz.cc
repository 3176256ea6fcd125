// A checkpoint directory from bytes: the first byte says how many shards follow config.json and the index; every part is a u32 length and
// bytes. The whole input is also one safetensors file.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "model/active_bytes.h"
#include "model/model_file.h"
#include "weights/safetensors.h"

namespace {

using millrace::model::NamedFile;
using millrace::weights::SafetensorsFile;

bool Inside(std::span<const std::byte> outer, std::span<const std::byte> inner) {
  if (inner.empty()) return true;
  const auto begin = reinterpret_cast<uintptr_t>(outer.data());
  const auto at = reinterpret_cast<uintptr_t>(inner.data());
  return at >= begin && at - begin <= outer.size() && inner.size() <= outer.size() - (at - begin);
}

void OneFile(std::span<const std::byte> bytes) {
  const auto file = SafetensorsFile::Parse(bytes);
  if (!file.ok()) {
    CHECK(!file.status().message().empty(), "an error says why");
    return;
  }
  size_t sum = 0;
  for (const auto& tensor : file->tensors()) {
    CHECK(Inside(bytes, tensor.data), "tensor data lies in the file");
    CHECK(file->FindTensor(tensor.name) == &tensor, "a tensor is found by its name");
    sum += tensor.data.size();
  }
  CHECK(sum < bytes.size(), "tensors do not overlap");
}

std::span<const std::byte> TakePart(std::span<const std::byte>& rest) {
  uint32_t size = 0;
  if (rest.size() < sizeof(size)) return std::exchange(rest, {});
  std::memcpy(&size, rest.data(), sizeof(size));
  rest = rest.subspan(sizeof(size));
  const auto part = rest.first(std::min<size_t>(size, rest.size()));
  rest = rest.subspan(part.size());
  return part;
}

void Directory(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const auto shards = static_cast<size_t>(bytes[0]) % 4;
  std::span<const std::byte> rest = bytes.subspan(1);
  const std::vector<std::string> names = {"a.safetensors", "b.safetensors", "c.safetensors"};
  std::vector<NamedFile> files = {{"config.json", TakePart(rest)}};
  const auto index = TakePart(rest);
  if (!index.empty()) files.push_back({"model.safetensors.index.json", index});
  for (size_t i = 0; i < shards; ++i) files.push_back({names[i], TakePart(rest)});
  const auto file = millrace::model::ModelFile::Parse(files);
  if (!file.ok()) {
    CHECK(!file.status().message().empty(), "an error says why");
    return;
  }
  for (const auto& tensor : file->source().tensors()) {
    CHECK(tensor.data.size() == tensor.rows * tensor.row_bytes(), "a tensor has as many bytes as its shape says");
    CHECK(Inside(bytes, tensor.data) && Inside(bytes, tensor.affine.scales) && Inside(bytes, tensor.affine.biases),
          "tensor data lies in the files");
  }
  (void)millrace::model::WeightBytesOf(*file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  OneFile(bytes);
  Directory(bytes);
  return 0;
}
