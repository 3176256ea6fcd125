// Two archives over the same field list: WireWriter puts fields into bytes, WireReader takes them out. A message's layout is
// written down once, as a function template over the archive, so that encoder and decoder cannot disagree and both hold the same
// limits.
//
// Numbers are little endian, packed without gaps. A list is a 32-bit count and its items; a text is a list of bytes; a truth
// value is one byte, 0 or 1. Both archives keep the first failure and turn everything after it into nothing.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/status.h"
#include "base/utf8.h"

namespace millrace::ipc {

static_assert(std::endian::native == std::endian::little, "the wire format is little endian and copied as it lies in memory");

enum class TextKind { kUtf8, kPrintableAscii };

inline bool TextIsValid(std::string_view text, TextKind kind) {
  if (kind == TextKind::kUtf8) return Utf8IsValid(text);
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

class WireWriter {
 public:
  static constexpr bool kReads = false;
  template <typename M>
  using Ref = const M&;

  explicit WireWriter(std::span<std::byte> out) : out_(out) {}

  template <typename T>
  void Number(const T& value, std::type_identity_t<T> low, std::type_identity_t<T> high, const char* field) {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    Require(value >= low && value <= high, field);  // false for NaN
    Append(std::as_bytes(std::span(&value, 1)), field);
  }
  void Truth(const bool& value, const char* field) { Number<uint8_t>(value ? 1 : 0, 0, 1, field); }
  void Text(const std::string& text, size_t max_bytes, TextKind kind, const char* field) {
    Require(text.size() <= max_bytes && TextIsValid(text, kind), field);
    Number<uint32_t>(static_cast<uint32_t>(text.size()), 0, UINT32_MAX, field);
    Append(std::as_bytes(std::span(text)), field);
  }
  // each(archive, item) writes one item.
  template <typename T, typename Each>
  void List(const std::vector<T>& items, size_t max_items, size_t, const char* field, Each each) {
    Require(items.size() <= max_items, field);
    Number<uint32_t>(static_cast<uint32_t>(items.size()), 0, UINT32_MAX, field);
    for (const T& item : items) {
      if (broken_ != nullptr) return;
      each(*this, item);
    }
  }
  void Require(bool condition, const char* field) {
    if (!condition && broken_ == nullptr) broken_ = field;
  }

  // The first field that breaks its limits or does not fit; null when all is well.
  const char* broken_field() const { return broken_; }
  std::span<const std::byte> written() const { return out_.first(size_); }

 private:
  void Append(std::span<const std::byte> bytes, const char* field) {
    Require(bytes.size() <= out_.size() - size_, field);
    if (broken_ != nullptr || bytes.empty()) return;
    std::memcpy(out_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }

  std::span<std::byte> out_;
  size_t size_ = 0;
  const char* broken_ = nullptr;
};

class WireReader {
 public:
  static constexpr bool kReads = true;
  template <typename M>
  using Ref = M&;

  explicit WireReader(std::span<const std::byte> in) : in_(in) {}

  template <typename T>
  void Number(T& value, std::type_identity_t<T> low, std::type_identity_t<T> high, const char* field) {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    if (!Need(sizeof(T), field)) return;
    T found;
    std::memcpy(&found, in_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    if (!(found >= low && found <= high)) {  // also true for NaN
      Fail(Error(Code::kDataLoss, "field '{}': expected [{}, {}], found {}", field, low, high, found));
      return;
    }
    value = found;
  }
  void Truth(bool& value, const char* field) {
    uint8_t byte = 0;
    Number(byte, 0, 1, field);
    value = byte != 0;
  }
  void Text(std::string& text, size_t max_bytes, TextKind kind, const char* field) {
    uint32_t size = 0;
    Number(size, 0, static_cast<uint32_t>(max_bytes), field);
    if (!Need(size, field)) return;
    text.assign(reinterpret_cast<const char*>(in_.data() + at_), size);
    at_ += size;
    if (!TextIsValid(text, kind))
      Fail(Error(Code::kDataLoss, "field '{}': the text is not valid {}", field, kind == TextKind::kUtf8 ? "UTF-8" : "ASCII"));
  }
  // `item_bytes` is the least that one item takes: nothing is allocated for items that cannot be there.
  template <typename T, typename Each>
  void List(std::vector<T>& items, size_t max_items, size_t item_bytes, const char* field, Each each) {
    uint32_t count = 0;
    Number(count, 0, static_cast<uint32_t>(max_items), field);
    if (!Need(size_t{count} * item_bytes, field)) return;
    items.resize(count);
    for (T& item : items) {
      if (!status_.ok()) return;
      each(*this, item);
    }
  }
  void Require(bool condition, const char* field) {
    if (!condition && status_.ok()) Fail(Error(Code::kDataLoss, "field '{}' contradicts the others", field));
  }

  // The first failure, or kDataLoss when bytes are left over.
  Status Finish() const {
    if (status_.ok() && at_ != in_.size()) return Error(Code::kDataLoss, "expected {} bytes, found {}", at_, in_.size());
    return status_;
  }

 private:
  bool Need(size_t bytes, const char* field) {
    if (status_.ok() && bytes > in_.size() - at_) {
      Fail(Error(Code::kDataLoss, "field '{}' needs {} bytes at {}, {} are left", field, bytes, at_, in_.size() - at_));
    }
    return status_.ok();
  }
  void Fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }

  std::span<const std::byte> in_;
  size_t at_ = 0;
  Status status_;
};

}  // namespace millrace::ipc
