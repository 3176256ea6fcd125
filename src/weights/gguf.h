// GgufFile: the metadata and tensors of a GGUF file (versions 2 and 3, little-endian), as views into its bytes.
//
// The file is hostile until shown otherwise: every count, length, offset, alignment and product is compared with the size of the
// file before anything is allocated or followed, and a file that contradicts itself is refused whole. Memory used is proportional
// to the number of entries and tensors, never to a number that the file merely claims. Strings and arrays are not copied.
//
// A GgufFile and everything it hands out point into the bytes given to Parse, which must outlive them. Should those bytes change
// afterwards (a mapped file that someone rewrites), values may be wrong, but no access leaves the given span.
// Immutable after Parse: any number of threads may read it.
//
// Layout (all integers little-endian): "GGUF", u32 version, u64 tensor count, u64 entry count; entries {string key, u32 type,
// value}; tensor infos {string name, u32 rank, u64 dims[rank] innermost first, u32 type, u64 offset}; padding to the alignment;
// tensor data. string = u64 length + bytes; array = u32 element type + u64 count + elements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "weights/tensor_view.h"

namespace millrace::weights {

// What a well-meant file stays below. Breaking one of them is kResourceExhausted, naming the limit.
struct GgufLimits {
  uint64_t metadata_entries = 65'536;
  uint64_t key_bytes = 1'024;             // the specification allows 65,535; known keys are below 80
  uint64_t string_bytes = 16ULL << 20;    // the longest known strings are chat templates
  uint64_t array_elements = 16ULL << 20;  // the longest known arrays are merges and vocabularies
  uint64_t tensors = 100'000;
  uint64_t tensor_name_bytes = 256;
  uint64_t alignment = 1ULL << 20;
};

enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// "u32", "string", "array"; empty for a number that is no type.
std::string_view GgufTypeName(GgufType type);

// The strings of an array value, found one after the other while iterating: no index is built, nothing is copied.
class GgufStringArray {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    using pointer = const std::string_view*;
    using reference = std::string_view;

    std::string_view operator*() const { return current_; }
    Iterator& operator++();
    bool operator==(const Iterator& other) const { return left_ == other.left_; }

   private:
    friend class GgufStringArray;
    Iterator(std::span<const std::byte> rest, uint64_t left);
    void Read();

    std::span<const std::byte> rest_;  // after the current string
    uint64_t left_;                    // strings from the current one to the end
    std::string_view current_;
  };

  GgufStringArray(std::span<const std::byte> bytes, uint64_t count) : bytes_(bytes), count_(count) {}

  uint64_t size() const { return count_; }
  uint64_t size_bytes() const { return bytes_.size(); }  // lengths included
  Iterator begin() const { return Iterator(bytes_, count_); }
  Iterator end() const { return Iterator({}, 0); }

 private:
  std::span<const std::byte> bytes_;
  uint64_t count_;
};

// One metadata entry. For an array `value` holds its elements only; for a string its bytes only.
struct GgufEntry {
  std::string_view key;
  GgufType type = GgufType::kUint8;
  GgufType element_type = GgufType::kUint8;  // of an array
  uint64_t count = 1;                        // elements of an array
  std::span<const std::byte> value;

  // "array of 49152 string", "u32": for messages and listings.
  std::string TypeText() const;
};

class GgufFile {
 public:
  // kDataLoss: the bytes contradict themselves or end too early. kUnsupported: version 1, big-endian, split files, tensor types
  // that this build does not know. Messages name the entry or tensor, what was expected and what was found; the caller adds the
  // path with Status::Within.
  static Result<GgufFile> Parse(std::span<const std::byte> file, const GgufLimits& limits = {});

  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  std::span<const GgufEntry> metadata() const { return entries_; }  // file order
  std::span<const TensorView> tensors() const { return tensors_; }  // file order
  std::span<const std::byte> bytes() const { return bytes_; }
  uint64_t tensor_bytes() const { return tensor_bytes_; }  // sum of data.size() over tensors()

  const GgufEntry* Find(std::string_view key) const;
  const TensorView* FindTensor(std::string_view name) const;
  bool Has(std::string_view key) const { return Find(key) != nullptr; }

  // Typed access. kDataLoss when there is no such key (ask Has first where it may be absent), kInvalidArgument for the wrong type or
  // a value that does not fit. An integer getter takes an integer of any width whose value fits; a float getter takes f32 and f64;
  // the values of GetString and keys are valid UTF-8, elements of a string array are whatever the file holds.
  Result<uint32_t> GetU32(std::string_view key) const;
  Result<uint64_t> GetU64(std::string_view key) const;
  Result<float> GetF32(std::string_view key) const;
  Result<bool> GetBool(std::string_view key) const;
  Result<std::string_view> GetString(std::string_view key) const;
  Result<GgufStringArray> GetStringArray(std::string_view key) const;
  Result<std::vector<int32_t>> GetI32Array(std::string_view key) const;
  Result<std::vector<float>> GetF32Array(std::string_view key) const;

  // The same, but `fallback` when the key is absent. A present key of the wrong type is still an error.
  Result<uint32_t> GetU32Or(std::string_view key, uint32_t fallback) const;
  Result<float> GetF32Or(std::string_view key, float fallback) const;
  Result<bool> GetBoolOr(std::string_view key, bool fallback) const;

 private:
  friend class GgufParser;
  GgufFile() = default;

  Result<const GgufEntry*> Require(std::string_view key) const;
  Result<const GgufEntry*> RequireArray(std::string_view key, std::string_view expected) const;

  std::span<const std::byte> bytes_;
  uint32_t version_ = 0;
  uint64_t alignment_ = 32;
  uint64_t tensor_bytes_ = 0;
  std::vector<GgufEntry> entries_;
  std::vector<TensorView> tensors_;
  std::vector<uint32_t> entries_by_key_;  // indices, sorted by key
  std::vector<uint32_t> tensors_by_name_;
};

}  // namespace millrace::weights
