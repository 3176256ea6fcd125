// SafetensorsFile: the tensors of a safetensors file, as views into its bytes.
//
// Layout: u64 header length (little-endian); the header, JSON that begins with '{' and may end with spaces: {"__metadata__": {string:
// string}, name: {"dtype", "shape", "data_offsets": [begin, end]}}; the buffer, in which offsets count. The ranges of all tensors, put in
// order, follow each other without gap or overlap and fill the buffer.
//
// The file is hostile until shown otherwise: every length, product and range is compared with the size of the file before anything is
// allocated or followed, and a file that contradicts itself is refused whole. Memory used is proportional to the header.
//
// Data may begin at any byte: nothing in the format aligns it. Tensors point into the bytes given to Parse, which must outlive them.
// Movable (what it handed out stays valid), immutable after Parse: any number of threads may read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"

namespace millrace::weights {

// What a well-meant file stays below. Breaking one of them is kResourceExhausted, naming the limit.
struct SafetensorsLimits {
  uint64_t header_bytes = 100'000'000;  // the specification's
  uint64_t json_values = 4'000'000;     // of the header; a tensor has about 14
  uint64_t tensors = 100'000;
  uint64_t name_bytes = 256;
  uint64_t rank = 8;
};

// The element types of the format. They say how bytes are to be read, not what for: MLX packs codes of 4 bits into U32.
enum class SafetensorsType : uint8_t {
  kBool,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kF64,
  kI64,
  kU64
};

std::string_view SafetensorsTypeName(SafetensorsType type);  // "BF16"
uint32_t SafetensorsTypeBytes(SafetensorsType type);
// The float types that weights are computed with; nothing for the others.
std::optional<DType> FloatTypeOf(SafetensorsType type);

struct SafetensorsTensor {
  std::string name;
  SafetensorsType type = SafetensorsType::kF32;
  std::vector<uint64_t> shape;      // outermost first; empty: one element
  std::span<const std::byte> data;  // product of shape * bytes of type

  std::string ShapeText() const;  // "[4096, 512]"
};

class SafetensorsFile {
 public:
  // kDataLoss: the bytes contradict themselves or end too early. kUnsupported: element types that this build does not know. Messages name
  // the tensor, what was expected and what was found; the caller adds the path with Status::Within.
  static Result<SafetensorsFile> Parse(std::span<const std::byte> file, const SafetensorsLimits& limits = {});

  SafetensorsFile(SafetensorsFile&&) = default;
  SafetensorsFile& operator=(SafetensorsFile&&) = default;

  std::span<const SafetensorsTensor> tensors() const { return tensors_; }  // in the order of their data
  const SafetensorsTensor* FindTensor(std::string_view name) const;
  std::span<const std::pair<std::string, std::string>> metadata() const { return metadata_; }  // __metadata__

 private:
  friend class SafetensorsParser;
  SafetensorsFile() = default;

  std::vector<SafetensorsTensor> tensors_;
  std::vector<uint32_t> by_name_;  // indices, sorted by name
  std::vector<std::pair<std::string, std::string>> metadata_;
};

}  // namespace millrace::weights
