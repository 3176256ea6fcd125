#include "weights/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/checked.h"
#include "base/json.h"
#include "weights/shown_text.h"

namespace millrace::weights {

namespace {

static_assert(std::endian::native == std::endian::little, "values are read as they lie in the file");

constexpr size_t kLengthBytes = sizeof(uint64_t);
constexpr size_t kMaxDepth = 8;  // a tensor's shape stands at depth 3

struct TypeRow {
  std::string_view name;
  uint32_t bytes;
};
constexpr std::array<TypeRow, 15> kTypes = {{{"BOOL", 1},
                                             {"U8", 1},
                                             {"I8", 1},
                                             {"F8_E5M2", 1},
                                             {"F8_E4M3", 1},
                                             {"I16", 2},
                                             {"U16", 2},
                                             {"F16", 2},
                                             {"BF16", 2},
                                             {"I32", 4},
                                             {"U32", 4},
                                             {"F32", 4},
                                             {"F64", 8},
                                             {"I64", 8},
                                             {"U64", 8}}};

std::string KnownTypes() {
  std::string list;
  for (const TypeRow& row : kTypes) list += fmt::format("{}{}", list.empty() ? "" : ", ", row.name);
  return list;
}

// A member that must be there, and be an array of whole numbers.
Result<std::vector<uint64_t>> WholeNumbers(const Json& entry, std::string_view key, uint64_t limit) {
  const Json* list = entry.Find(key);
  if (list == nullptr || !list->is_array()) return Error(Code::kDataLoss, "'{}': expected an array of whole numbers", key);
  if (list->items().size() > limit) {
    return Error(Code::kDataLoss, "'{}': {} numbers, expected at most {}", key, list->items().size(), limit);
  }
  std::vector<uint64_t> numbers;
  for (const Json& item : list->items()) {
    const auto number = item.is_integer() ? item.as_uint64() : Result<uint64_t>(Status(Code::kDataLoss, "no integer"));
    if (!number.ok()) {
      return Error(Code::kDataLoss, "'{}': expected whole numbers, found {}", key, ShownText(item.Write()));
    }
    numbers.push_back(*number);
  }
  return numbers;
}

}  // namespace

std::string_view SafetensorsTypeName(SafetensorsType type) { return kTypes[static_cast<size_t>(type)].name; }
uint32_t SafetensorsTypeBytes(SafetensorsType type) { return kTypes[static_cast<size_t>(type)].bytes; }

std::optional<DType> FloatTypeOf(SafetensorsType type) {
  switch (type) {
    case SafetensorsType::kF32:
      return DType::kF32;
    case SafetensorsType::kF16:
      return DType::kF16;
    case SafetensorsType::kBF16:
      return DType::kBF16;
    default:
      return std::nullopt;
  }
}

std::string SafetensorsTensor::ShapeText() const { return fmt::format("[{}]", fmt::join(shape, ", ")); }

class SafetensorsParser {
 public:
  SafetensorsParser(std::span<const std::byte> file, const SafetensorsLimits& limits) : file_(file), limits_(limits) {}

  Result<SafetensorsFile> Parse() {
    ASSIGN_OR_RETURN(const Json header, ReadHeader());
    // Each has its member in the header, whose size the file has shown to hold.
    if (header.members().size() > limits_.tensors + 1) {
      return Error(Code::kResourceExhausted, "{} tensors are more than the limit tensors of {}", header.members().size(),
                   limits_.tensors);
    }
    for (const auto& [name, entry] : header.members()) {
      RETURN_IF_ERROR(name == "__metadata__" ? ReadMetadata(entry) : ReadTensor(name, entry));
    }
    RETURN_IF_ERROR(CheckRanges());
    IndexNames();
    return std::move(out_);
  }

 private:
  Result<Json> ReadHeader() {
    uint64_t length = 0;
    if (file_.size() < kLengthBytes) {
      return Error(Code::kDataLoss, "not a safetensors file: {} bytes, expected at least {}", file_.size(), kLengthBytes);
    }
    std::memcpy(&length, file_.data(), kLengthBytes);
    if (length > file_.size() - kLengthBytes) {
      return Error(Code::kDataLoss, "the header is {} bytes long, only {} are left in the file of {}", length,
                   file_.size() - kLengthBytes, file_.size());
    }
    if (length > limits_.header_bytes) {
      return Error(Code::kResourceExhausted, "a header of {} bytes is more than the limit header_bytes of {}", length,
                   limits_.header_bytes);
    }
    const std::string_view text(reinterpret_cast<const char*>(file_.data()) + kLengthBytes, length);
    if (text.empty() || text.front() != '{') {
      return Error(Code::kDataLoss, "not a safetensors file: expected a header that begins with '{{', found '{}'",
                   ShownText(text.substr(0, 8)));
    }
    buffer_ = file_.subspan(kLengthBytes + length);
    auto header =
        Json::Parse(text, {.max_bytes = limits_.header_bytes, .max_values = limits_.json_values, .max_depth = kMaxDepth});
    if (!header.ok()) return Status(Code::kDataLoss, header.status().message()).Within("header");
    return header;
  }

  Status ReadMetadata(const Json& entry) {
    if (!entry.is_object()) return Error(Code::kDataLoss, "'__metadata__': expected an object, found {}", entry.type_name());
    for (const auto& [key, value] : entry.members()) {
      if (!value.is_string()) {
        return Error(Code::kDataLoss, "'__metadata__' '{}': expected a string, found {}", ShownText(key), value.type_name());
      }
      out_.metadata_.emplace_back(key, value.as_string());
    }
    return {};
  }

  Status ReadTensor(const std::string& name, const Json& entry) {
    if (name.size() > limits_.name_bytes) {
      return Error(Code::kResourceExhausted, "tensor '{}': a name of {} bytes is more than the limit name_bytes of {}",
                   ShownText(name), name.size(), limits_.name_bytes);
    }
    if (!IsPlainName(name)) {
      return Error(Code::kDataLoss, "tensor '{}': expected a non-empty name without control characters", ShownText(name));
    }
    auto tensor = TensorOf(entry);
    if (!tensor.ok()) return tensor.status().Within(fmt::format("tensor '{}'", name));
    tensor->name = name;
    out_.tensors_.push_back(*std::move(tensor));
    return {};
  }

  Result<SafetensorsTensor> TensorOf(const Json& entry) const {
    if (!entry.is_object()) return Error(Code::kDataLoss, "expected an object, found {}", entry.type_name());
    SafetensorsTensor tensor;
    ASSIGN_OR_RETURN(tensor.type, TypeOf(entry));
    ASSIGN_OR_RETURN(tensor.shape, WholeNumbers(entry, "shape", limits_.rank));
    ASSIGN_OR_RETURN(const auto range, WholeNumbers(entry, "data_offsets", 2));
    if (range.size() != 2 || range[0] > range[1] || range[1] > buffer_.size()) {
      return Error(Code::kDataLoss, "'data_offsets': [{}], expected a begin and an end of at most {}", fmt::join(range, ", "),
                   buffer_.size());
    }
    std::optional<uint64_t> bytes = SafetensorsTypeBytes(tensor.type);
    for (const uint64_t dim : tensor.shape) bytes = bytes ? CheckedMul(*bytes, dim) : bytes;
    if (!bytes) return Error(Code::kDataLoss, "the size of shape {} does not fit 64 bits", tensor.ShapeText());
    if (*bytes != range[1] - range[0]) {
      return Error(Code::kDataLoss, "{} of shape {} takes {} bytes, but 'data_offsets' [{}, {}] are {}",
                   SafetensorsTypeName(tensor.type), tensor.ShapeText(), *bytes, range[0], range[1], range[1] - range[0]);
    }
    tensor.data = buffer_.subspan(range[0], *bytes);
    return tensor;
  }

  static Result<SafetensorsType> TypeOf(const Json& entry) {
    const Json* name = entry.Find("dtype");
    if (name == nullptr || !name->is_string()) return Error(Code::kDataLoss, "'dtype': expected a string");
    const auto row =
        std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeRow& type) { return type.name == name->as_string(); });
    if (row == kTypes.end()) {
      return Error(Code::kUnsupported, "type '{}', expected one of {}", ShownText(name->as_string()), KnownTypes());
    }
    return static_cast<SafetensorsType>(row - kTypes.begin());
  }

  // In the order of their data, each tensor begins where the one before it ended. Tensors without elements lie anywhere between.
  Status CheckRanges() {
    const auto begin = [this](const SafetensorsTensor& tensor) {
      return static_cast<uint64_t>(tensor.data.data() - buffer_.data());
    };
    std::sort(out_.tensors_.begin(), out_.tensors_.end(), [&](const SafetensorsTensor& a, const SafetensorsTensor& b) {
      return std::pair(begin(a), a.data.size()) < std::pair(begin(b), b.data.size());
    });
    uint64_t end = 0;
    for (const SafetensorsTensor& tensor : out_.tensors_) {
      if (begin(tensor) != end) {
        return Error(Code::kDataLoss, "tensor '{}': begins at {}, expected {}, where the data before it end ({})", tensor.name,
                     begin(tensor), end, begin(tensor) < end ? "overlap" : "gap");
      }
      end += tensor.data.size();
    }
    if (end != buffer_.size()) {
      return Error(Code::kDataLoss, "the tensors fill {} bytes of a buffer of {}", end, buffer_.size());
    }
    return {};
  }

  // The JSON reader has refused equal names.
  void IndexNames() {
    out_.by_name_.resize(out_.tensors_.size());
    for (uint32_t i = 0; i < out_.by_name_.size(); ++i) out_.by_name_[i] = i;
    std::sort(out_.by_name_.begin(), out_.by_name_.end(),
              [this](uint32_t a, uint32_t b) { return out_.tensors_[a].name < out_.tensors_[b].name; });
  }

  std::span<const std::byte> file_;
  std::span<const std::byte> buffer_;
  const SafetensorsLimits limits_;
  SafetensorsFile out_;
};

Result<SafetensorsFile> SafetensorsFile::Parse(std::span<const std::byte> file, const SafetensorsLimits& limits) {
  return SafetensorsParser(file, limits).Parse();
}

const SafetensorsTensor* SafetensorsFile::FindTensor(std::string_view name) const {
  const auto at = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                   [&](uint32_t index, std::string_view wanted) { return tensors_[index].name < wanted; });
  return at != by_name_.end() && tensors_[*at].name == name ? &tensors_[*at] : nullptr;
}

}  // namespace millrace::weights
