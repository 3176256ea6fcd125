// Writes GGUF images in memory: for tests, which need files that are right and files that lie in one chosen place.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "weights/gguf.h"

namespace millrace::weights::testing {

// Little-endian bytes, appended value by value.
class ByteWriter {
 public:
  template <typename T>
  ByteWriter& Put(T value) {
    const auto* bytes = reinterpret_cast<const char*>(&value);
    bytes_.append(bytes, sizeof(T));
    return *this;
  }
  ByteWriter& String(std::string_view text) {
    Put<uint64_t>(text.size());
    bytes_.append(text);
    return *this;
  }
  ByteWriter& Raw(std::string_view bytes) {
    bytes_.append(bytes);
    return *this;
  }
  void PadTo(uint64_t unit) { bytes_.resize((bytes_.size() + unit - 1) / unit * unit); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Collects entries and tensors; Build lays them out. The public numbers override what an honest file would say.
class GgufBuilder {
 public:
  uint32_t version = 3;
  uint64_t alignment = 32;       // of the layout; general.alignment is only written by Add
  int64_t claimed_tensors = -1;  // -1: the true count
  int64_t claimed_entries = -1;

  template <typename T>
  GgufBuilder& Add(std::string_view key, GgufType type, T value) {
    entries_.String(key).Put(static_cast<uint32_t>(type)).Put(value);
    return Counted();
  }
  GgufBuilder& U32(std::string_view key, uint32_t value) { return Add(key, GgufType::kUint32, value); }
  GgufBuilder& F32(std::string_view key, float value) { return Add(key, GgufType::kFloat32, value); }
  GgufBuilder& Bool(std::string_view key, bool value) { return Add<uint8_t>(key, GgufType::kBool, value ? 1 : 0); }
  GgufBuilder& String(std::string_view key, std::string_view value) {
    entries_.String(key).Put(static_cast<uint32_t>(GgufType::kString)).String(value);
    return Counted();
  }
  GgufBuilder& Strings(std::string_view key, const std::vector<std::string>& values) {
    Array(key, GgufType::kString, values.size());
    for (const std::string& value : values) entries_.String(value);
    return *this;
  }
  template <typename T>
  GgufBuilder& Numbers(std::string_view key, GgufType type, std::initializer_list<T> values) {
    return Numbers(key, type, std::vector<T>(values));
  }
  template <typename T>
  GgufBuilder& Numbers(std::string_view key, GgufType type, const std::vector<T>& values) {
    Array(key, type, values.size());
    for (const T& value : values) entries_.Put(value);
    return *this;
  }
  // The head of an array; its elements, true or not, follow by RawEntryBytes.
  GgufBuilder& Array(std::string_view key, GgufType element, uint64_t count) {
    entries_.String(key).Put(static_cast<uint32_t>(GgufType::kArray)).Put(static_cast<uint32_t>(element)).Put(count);
    return Counted();
  }
  GgufBuilder& RawEntryBytes(std::string_view bytes) {
    entries_.Raw(bytes);
    return *this;
  }

  struct Tensor {
    std::string name;
    std::vector<uint64_t> dims;  // innermost first
    uint32_t type = 0;           // ggml_type
    std::string data;
    int64_t claimed_offset = -1;
  };
  GgufBuilder& Add(Tensor tensor) {
    tensors_.push_back(std::move(tensor));
    return *this;
  }
  // A tensor of the right size whose bytes are all `fill`.
  GgufBuilder& Filled(std::string name, std::vector<uint64_t> dims, DType type, char fill = 0) {
    uint64_t elements = 1;
    for (const uint64_t dim : dims) elements *= dim;
    const uint64_t size = elements / Info(type).block_elements * Info(type).block_bytes;
    return Add({.name = std::move(name), .dims = std::move(dims), .type = Info(type).gguf_id, .data = std::string(size, fill)});
  }

  std::string Build() const {
    ByteWriter out;
    out.Raw("GGUF").Put(version);
    out.Put<uint64_t>(claimed_tensors >= 0 ? static_cast<uint64_t>(claimed_tensors) : tensors_.size());
    out.Put<uint64_t>(claimed_entries >= 0 ? static_cast<uint64_t>(claimed_entries) : entry_count_);
    out.Raw(entries_.bytes());
    ByteWriter data;
    for (const Tensor& tensor : tensors_) {
      const uint64_t offset = data.bytes().size();
      out.String(tensor.name).Put(static_cast<uint32_t>(tensor.dims.size()));
      for (const uint64_t dim : tensor.dims) out.Put(dim);
      out.Put(tensor.type).Put(tensor.claimed_offset >= 0 ? static_cast<uint64_t>(tensor.claimed_offset) : offset);
      data.Raw(tensor.data).PadTo(alignment);
    }
    if (!tensors_.empty()) out.PadTo(alignment);
    return out.Raw(data.bytes()).bytes();
  }

 private:
  GgufBuilder& Counted() {
    ++entry_count_;
    return *this;
  }

  ByteWriter entries_;
  uint64_t entry_count_ = 0;
  std::vector<Tensor> tensors_;
};

inline std::span<const std::byte> AsBytes(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace millrace::weights::testing
