#include "weights/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/checked.h"
#include "base/utf8.h"
#include "weights/shown_text.h"

namespace millrace::weights {

namespace {

constexpr std::array<std::string_view, 13> kTypeNames = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                         "bool", "string", "array", "u64", "i64", "f64"};

template <typename T>
T Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// A whole number with its sign apart, so that u64 and i64 compare exactly.
struct Whole {
  bool negative;
  uint64_t magnitude;
};

template <typename T>
Whole WholeOf(const std::byte* at) {
  const auto value = Load<T>(at);
  if (value < T{0}) return {true, ~static_cast<uint64_t>(static_cast<int64_t>(value)) + 1};
  return {false, static_cast<uint64_t>(value)};
}

std::optional<Whole> ReadWhole(GgufType type, const std::byte* at) {
  switch (type) {
    case GgufType::kUint8:
      return WholeOf<uint8_t>(at);
    case GgufType::kInt8:
      return WholeOf<int8_t>(at);
    case GgufType::kUint16:
      return WholeOf<uint16_t>(at);
    case GgufType::kInt16:
      return WholeOf<int16_t>(at);
    case GgufType::kUint32:
      return WholeOf<uint32_t>(at);
    case GgufType::kInt32:
      return WholeOf<int32_t>(at);
    case GgufType::kUint64:
      return WholeOf<uint64_t>(at);
    case GgufType::kInt64:
      return WholeOf<int64_t>(at);
    default:
      return std::nullopt;
  }
}

Status WrongType(const GgufEntry& entry, std::string_view expected) {
  return Error(Code::kInvalidArgument, "metadata '{}': expected {}, found {}", ShownText(entry.key), expected, entry.TypeText());
}

Result<uint64_t> WholeUpTo(const GgufEntry& entry, uint64_t limit, std::string_view expected) {
  const auto whole = ReadWhole(entry.type, entry.value.data());
  if (!whole) return WrongType(entry, expected);
  if (whole->negative || whole->magnitude > limit) {
    return Error(Code::kInvalidArgument, "metadata '{}': expected {} of at most {}, found {}{}", ShownText(entry.key), expected,
                 limit, whole->negative ? "-" : "", whole->magnitude);
  }
  return whole->magnitude;
}

}  // namespace

std::string_view GgufTypeName(GgufType type) {
  const auto index = static_cast<size_t>(type);
  return index < kTypeNames.size() ? kTypeNames[index] : std::string_view();
}

std::string GgufEntry::TypeText() const {
  if (type != GgufType::kArray) return std::string(GgufTypeName(type));
  return fmt::format("array of {} {}", count, GgufTypeName(element_type));
}

GgufStringArray::Iterator::Iterator(std::span<const std::byte> rest, uint64_t left) : rest_(rest), left_(left) {
  if (left_ > 0) Read();
}

GgufStringArray::Iterator& GgufStringArray::Iterator::operator++() {
  --left_;
  if (left_ > 0) Read();
  return *this;
}

// Parse has checked all lengths. They are clamped all the same, because a mapped file may be rewritten under us.
void GgufStringArray::Iterator::Read() {
  uint64_t size = 0;
  if (rest_.size() >= sizeof(size)) {
    size = Load<uint64_t>(rest_.data());
    rest_ = rest_.subspan(sizeof(size));
  }
  size = std::min<uint64_t>(size, rest_.size());
  current_ = {reinterpret_cast<const char*>(rest_.data()), size};
  rest_ = rest_.subspan(size);
}

const GgufEntry* GgufFile::Find(std::string_view key) const {
  const auto at = std::lower_bound(entries_by_key_.begin(), entries_by_key_.end(), key,
                                   [&](uint32_t index, std::string_view wanted) { return entries_[index].key < wanted; });
  return at != entries_by_key_.end() && entries_[*at].key == key ? &entries_[*at] : nullptr;
}

const TensorView* GgufFile::FindTensor(std::string_view name) const {
  const auto at = std::lower_bound(tensors_by_name_.begin(), tensors_by_name_.end(), name,
                                   [&](uint32_t index, std::string_view wanted) { return tensors_[index].name < wanted; });
  return at != tensors_by_name_.end() && tensors_[*at].name == name ? &tensors_[*at] : nullptr;
}

Result<const GgufEntry*> GgufFile::Require(std::string_view key) const {
  const GgufEntry* entry = Find(key);
  if (entry == nullptr) return Error(Code::kDataLoss, "metadata '{}': missing", key);
  return entry;
}

Result<const GgufEntry*> GgufFile::RequireArray(std::string_view key, std::string_view expected) const {
  ASSIGN_OR_RETURN(const GgufEntry* entry, Require(key));
  if (entry->type != GgufType::kArray) return WrongType(*entry, expected);
  return entry;
}

Result<uint32_t> GgufFile::GetU32(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufEntry* entry, Require(key));
  ASSIGN_OR_RETURN(const uint64_t value, WholeUpTo(*entry, std::numeric_limits<uint32_t>::max(), "a whole number"));
  return static_cast<uint32_t>(value);
}

Result<uint64_t> GgufFile::GetU64(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufEntry* entry, Require(key));
  return WholeUpTo(*entry, std::numeric_limits<uint64_t>::max(), "a whole number");
}

Result<float> GgufFile::GetF32(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufEntry* entry, Require(key));
  if (entry->type == GgufType::kFloat32) return Load<float>(entry->value.data());
  if (entry->type == GgufType::kFloat64) {
    const auto value = Load<double>(entry->value.data());
    if (std::isfinite(value) && std::abs(value) > static_cast<double>(std::numeric_limits<float>::max())) {
      return Error(Code::kInvalidArgument, "metadata '{}': {} does not fit f32", key, value);
    }
    return static_cast<float>(value);
  }
  return WrongType(*entry, "f32");
}

Result<bool> GgufFile::GetBool(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufEntry* entry, Require(key));
  if (entry->type != GgufType::kBool) return WrongType(*entry, "bool");
  return entry->value[0] != std::byte{0};
}

Result<std::string_view> GgufFile::GetString(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufEntry* entry, Require(key));
  if (entry->type != GgufType::kString) return WrongType(*entry, "string");
  const std::string_view text(reinterpret_cast<const char*>(entry->value.data()), entry->value.size());
  if (!Utf8IsValid(text)) return Error(Code::kInvalidArgument, "metadata '{}': expected UTF-8, found ill-formed bytes", key);
  return text;
}

Result<GgufStringArray> GgufFile::GetStringArray(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufEntry* entry, RequireArray(key, "array of string"));
  if (entry->element_type != GgufType::kString) return WrongType(*entry, "array of string");
  return GgufStringArray(entry->value, entry->count);
}

Result<std::vector<int32_t>> GgufFile::GetI32Array(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufEntry* entry, RequireArray(key, "array of i32"));
  if (entry->element_type != GgufType::kInt32 && entry->element_type != GgufType::kUint32)
    return WrongType(*entry, "array of i32");
  std::vector<int32_t> values(entry->count);
  if (!values.empty()) std::memcpy(values.data(), entry->value.data(), entry->count * sizeof(int32_t));
  if (entry->element_type == GgufType::kUint32) {
    const auto large = std::find_if(values.begin(), values.end(), [](int32_t value) { return value < 0; });
    if (large != values.end()) {
      return Error(Code::kInvalidArgument, "metadata '{}': element {} is {}, expected at most {}", key, large - values.begin(),
                   static_cast<uint32_t>(*large), std::numeric_limits<int32_t>::max());
    }
  }
  return values;
}

Result<std::vector<float>> GgufFile::GetF32Array(std::string_view key) const {
  ASSIGN_OR_RETURN(const GgufEntry* entry, RequireArray(key, "array of f32"));
  if (entry->element_type != GgufType::kFloat32) return WrongType(*entry, "array of f32");
  std::vector<float> values(entry->count);
  if (!values.empty()) std::memcpy(values.data(), entry->value.data(), entry->count * sizeof(float));
  return values;
}

Result<uint32_t> GgufFile::GetU32Or(std::string_view key, uint32_t fallback) const { return Has(key) ? GetU32(key) : fallback; }

Result<float> GgufFile::GetF32Or(std::string_view key, float fallback) const { return Has(key) ? GetF32(key) : fallback; }

Result<bool> GgufFile::GetBoolOr(std::string_view key, bool fallback) const { return Has(key) ? GetBool(key) : fallback; }

}  // namespace millrace::weights
