// GgufFile::Parse: one pass over the header with a cursor that cannot leave the file, then checks that need the whole picture
// (duplicates, overlap). No recursion; allocations only after the file was shown to be long enough to hold what it announces.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "weights/gguf.h"
#include "weights/shown_text.h"

namespace millrace::weights {

namespace {

static_assert(std::endian::native == std::endian::little, "GGUF values are read as they lie in the file");

constexpr uint64_t kMinAlignment = 8;           // the specification: a multiple of 8
constexpr uint64_t kMinEntryBytes = 8 + 4 + 1;  // key length, type, smallest value
constexpr uint64_t kMinTensorInfoBytes = 8 + 4 + 8 + 4 + 8;

// Bytes of one value of a fixed-size type; 0 for strings, arrays and numbers that are no type.
uint64_t FixedSize(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      return 0;
  }
  return 0;
}

// Tensor types that exist but that this build does not read, so that an error can name them.
struct ForeignType {
  uint32_t id;
  std::string_view name;
};
constexpr std::array<ForeignType, 21> kForeignTypes = {{
    {9, "Q8_1"},   {10, "Q2_K"},   {11, "Q3_K"},  {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"},
    {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"}, {23, "IQ4_XS"},  {24, "I8"},     {25, "I16"},
    {26, "I32"},   {27, "I64"},    {28, "F64"},   {29, "IQ1_M"}, {34, "TQ1_0"},   {35, "TQ2_0"},  {39, "MXFP4"},
}};

std::string TypeIdText(uint32_t id) {
  for (const ForeignType& type : kForeignTypes) {
    if (type.id == id) return fmt::format("{} ({})", id, type.name);
  }
  return std::to_string(id);
}

std::string KnownTypes() {
  std::string list;
  for (uint32_t id = 0; id < 64; ++id) {
    if (const auto type = DTypeFromGguf(id)) list += fmt::format("{}{} {}", list.empty() ? "" : ", ", id, Info(*type).name);
  }
  return list;
}

}  // namespace

class GgufParser {
 public:
  GgufParser(std::span<const std::byte> file, const GgufLimits& limits) : file_(file), limits_(limits) {}

  Result<GgufFile> Parse() {
    out_.bytes_ = file_;
    RETURN_IF_ERROR(ReadHeader());
    RETURN_IF_ERROR(ReadEntries());
    RETURN_IF_ERROR(CheckGeneralKeys());
    RETURN_IF_ERROR(ReadTensorInfos());
    RETURN_IF_ERROR(PlaceTensors());
    return std::move(out_);
  }

 private:
  uint64_t Left() const { return file_.size() - at_; }

  template <typename T>
  Result<T> Read(std::string_view what) {
    if (Left() < sizeof(T)) {
      return Error(Code::kDataLoss, "{} needs bytes {}..{}, the file has {}", what, at_, at_ + sizeof(T), file_.size());
    }
    T value;
    std::memcpy(&value, file_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  Result<std::span<const std::byte>> Take(uint64_t size, std::string_view what) {
    if (size > Left()) {
      return Error(Code::kDataLoss, "{} at offset {} is {} bytes long, only {} are left in the file of {}", what, at_, size,
                   Left(), file_.size());
    }
    const auto bytes = file_.subspan(at_, size);
    at_ += size;
    return bytes;
  }

  Result<std::span<const std::byte>> ReadString(uint64_t limit, std::string_view limit_name, std::string_view what) {
    ASSIGN_OR_RETURN(const uint64_t size, Read<uint64_t>(what));
    if (size > limit) {
      // A length beyond the file is the file's lie; one inside it is merely more than we are willing to read.
      const Code code = size > Left() ? Code::kDataLoss : Code::kResourceExhausted;
      return Error(code, "{} at offset {} claims {} bytes, the limit ({}) is {}", what, at_ - sizeof(uint64_t), size, limit_name,
                   limit);
    }
    return Take(size, what);
  }

  static std::string_view Text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  Status ReadHeader();
  Status CheckVersion(uint32_t version) const;
  Status ReadEntries();
  Result<GgufEntry> ReadEntry(uint64_t index);
  Status ReadValue(GgufEntry& entry);
  Status ReadArray(GgufEntry& entry);
  Status CheckGeneralKeys();
  Status ReadTensorInfos();
  Result<TensorView> ReadTensorInfo(uint64_t index);
  Status ReadShape(uint32_t rank, TensorView& tensor);
  Status PlaceTensors();
  Status PlaceTensor(TensorView& tensor, uint64_t offset, uint64_t data_begin) const;
  Status CheckOverlap() const;

  std::span<const std::byte> file_;
  const GgufLimits& limits_;
  uint64_t at_ = 0;  // <= file_.size()
  uint64_t entry_count_ = 0;
  uint64_t tensor_count_ = 0;
  std::vector<uint64_t> offsets_;  // of each tensor inside the data section
  GgufFile out_;
};

Status GgufParser::ReadHeader() {
  if (file_.size() < 4)
    return Error(Code::kDataLoss, "not a GGUF file: {} bytes long, expected at least a header of 24", file_.size());
  const std::string_view magic = Text(file_.first(4));
  if (magic != "GGUF") {
    std::array<unsigned, 4> hex{};
    for (size_t i = 0; i < 4; ++i) hex[i] = static_cast<unsigned char>(magic[i]);
    return Error(Code::kDataLoss, "not a GGUF file: expected it to begin with 'GGUF', found bytes {:02x} {:02x} {:02x} {:02x}",
                 hex[0], hex[1], hex[2], hex[3]);
  }
  at_ = 4;
  ASSIGN_OR_RETURN(out_.version_, Read<uint32_t>("header: version"));
  RETURN_IF_ERROR(CheckVersion(out_.version_));
  ASSIGN_OR_RETURN(tensor_count_, Read<uint64_t>("header: tensor count"));
  ASSIGN_OR_RETURN(entry_count_, Read<uint64_t>("header: metadata count"));

  const auto tensor_bytes = CheckedMul<uint64_t>(tensor_count_, kMinTensorInfoBytes);
  if (!tensor_bytes || *tensor_bytes > Left()) {
    return Error(Code::kDataLoss, "header: claims {} tensors, the file of {} bytes cannot describe so many", tensor_count_,
                 file_.size());
  }
  if (tensor_count_ > limits_.tensors) {
    return Error(Code::kResourceExhausted, "header: claims {} tensors, the limit (tensors) is {}", tensor_count_,
                 limits_.tensors);
  }
  const auto entry_bytes = CheckedMul<uint64_t>(entry_count_, kMinEntryBytes);
  if (!entry_bytes || *entry_bytes > Left()) {
    return Error(Code::kDataLoss, "header: claims {} metadata entries, the file of {} bytes cannot hold so many", entry_count_,
                 file_.size());
  }
  if (entry_count_ > limits_.metadata_entries) {
    return Error(Code::kResourceExhausted, "header: claims {} metadata entries, the limit (metadata_entries) is {}", entry_count_,
                 limits_.metadata_entries);
  }
  return {};
}

Status GgufParser::CheckVersion(uint32_t version) const {
  if (version == 2 || version == 3) return {};
  const uint32_t swapped = __builtin_bswap32(version);
  if (swapped >= 1 && swapped <= 3) {
    return Error(Code::kUnsupported, "header: big-endian GGUF (version {}), this build reads little-endian files only", swapped);
  }
  if (version == 1) {
    return Error(Code::kUnsupported,
                 "header: GGUF version 1, which was given up in 2023; this build reads versions 2 and 3. "
                 "Convert the file again from its source");
  }
  return Error(Code::kUnsupported, "header: GGUF version {}, this build reads versions 2 and 3", version);
}

Status GgufParser::ReadEntries() {
  out_.entries_.reserve(entry_count_);
  for (uint64_t i = 0; i < entry_count_; ++i) {
    ASSIGN_OR_RETURN(auto entry, ReadEntry(i));
    out_.entries_.push_back(entry);
  }
  auto& order = out_.entries_by_key_;
  order.resize(entry_count_);
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return out_.entries_[a].key < out_.entries_[b].key; });
  for (size_t i = 1; i < order.size(); ++i) {
    const std::string_view key = out_.entries_[order[i]].key;
    if (key == out_.entries_[order[i - 1]].key) return Error(Code::kDataLoss, "metadata: key '{}' appears twice", ShownText(key));
  }
  return {};
}

Result<GgufEntry> GgufParser::ReadEntry(uint64_t index) {
  const uint64_t begin = at_;
  GgufEntry entry;
  const std::string what = fmt::format("metadata entry {} of {}: key", index + 1, entry_count_);
  ASSIGN_OR_RETURN(const auto key, ReadString(limits_.key_bytes, "key_bytes", what));
  entry.key = Text(key);
  if (!IsPlainName(entry.key)) {
    return Error(Code::kDataLoss, "{} '{}' at offset {}: expected non-empty UTF-8 without control characters", what,
                 ShownText(entry.key), begin);
  }
  ASSIGN_OR_RETURN(const uint32_t type, Read<uint32_t>(fmt::format("metadata '{}': type", ShownText(entry.key))));
  entry.type = static_cast<GgufType>(type);
  if (GgufTypeName(entry.type).empty()) {
    return Error(Code::kDataLoss, "metadata '{}': value type {} at offset {}, expected 0 to 12", ShownText(entry.key), type,
                 at_ - sizeof(uint32_t));
  }
  RETURN_IF_ERROR(ReadValue(entry));
  return entry;
}

Status GgufParser::ReadValue(GgufEntry& entry) {
  if (entry.type == GgufType::kArray) return ReadArray(entry);
  const std::string what = fmt::format("metadata '{}': value", ShownText(entry.key));
  if (entry.type == GgufType::kString) {
    ASSIGN_OR_RETURN(entry.value, ReadString(limits_.string_bytes, "string_bytes", what));
    return {};
  }
  ASSIGN_OR_RETURN(entry.value, Take(FixedSize(entry.type), what));
  if (entry.type == GgufType::kBool && std::to_integer<uint8_t>(entry.value[0]) > 1) {
    return Error(Code::kDataLoss, "{} of type bool is {}, expected 0 or 1", what, std::to_integer<uint8_t>(entry.value[0]));
  }
  return {};
}

Status GgufParser::ReadArray(GgufEntry& entry) {
  const std::string what = fmt::format("metadata '{}': array", ShownText(entry.key));
  ASSIGN_OR_RETURN(const uint32_t type, Read<uint32_t>(what));
  ASSIGN_OR_RETURN(entry.count, Read<uint64_t>(what));
  entry.element_type = static_cast<GgufType>(type);
  if (entry.element_type == GgufType::kArray) return Error(Code::kUnsupported, "{} of arrays; nested arrays are not read", what);
  if (GgufTypeName(entry.element_type).empty()) return Error(Code::kDataLoss, "{} of type {}, expected 0 to 12", what, type);

  const bool strings = entry.element_type == GgufType::kString;
  const uint64_t min_element_bytes = strings ? sizeof(uint64_t) : FixedSize(entry.element_type);
  const auto min_bytes = CheckedMul<uint64_t>(entry.count, min_element_bytes);
  if (!min_bytes || *min_bytes > Left()) {
    return Error(Code::kDataLoss, "{} claims {} elements of type {}, only {} bytes are left in the file", what, entry.count,
                 GgufTypeName(entry.element_type), Left());
  }
  if (entry.count > limits_.array_elements) {
    return Error(Code::kResourceExhausted, "{} has {} elements, the limit (array_elements) is {}", what, entry.count,
                 limits_.array_elements);
  }
  if (!strings) {
    ASSIGN_OR_RETURN(entry.value, Take(*min_bytes, what));
    return {};
  }
  const uint64_t begin = at_;
  const std::string element = fmt::format("metadata '{}': string in array", ShownText(entry.key));
  for (uint64_t i = 0; i < entry.count; ++i) {
    RETURN_IF_ERROR(ReadString(limits_.string_bytes, "string_bytes", element));
  }
  entry.value = file_.subspan(begin, at_ - begin);
  return {};
}

Status GgufParser::CheckGeneralKeys() {
  if (out_.Has("split.count")) {
    ASSIGN_OR_RETURN(const uint32_t parts, out_.GetU32("split.count"));
    if (parts > 1) {
      return Error(Code::kUnsupported,
                   "metadata 'split.count': one part of a model split into {} files; split files are not read. "
                   "Merge the parts into one file first",
                   parts);
    }
  }
  if (out_.Has("general.alignment")) {
    ASSIGN_OR_RETURN(out_.alignment_, out_.GetU64("general.alignment"));
    if (!std::has_single_bit(out_.alignment_) || out_.alignment_ < kMinAlignment || out_.alignment_ > limits_.alignment) {
      return Error(Code::kDataLoss, "metadata 'general.alignment': {}, expected a power of two from {} to {}", out_.alignment_,
                   kMinAlignment, limits_.alignment);
    }
  }
  return {};
}

Status GgufParser::ReadTensorInfos() {
  // The bound of ReadHeader counted the metadata too; this one holds for what is really left.
  if (tensor_count_ > Left() / kMinTensorInfoBytes) {
    return Error(Code::kDataLoss, "header: claims {} tensors, the {} bytes after the metadata cannot describe so many",
                 tensor_count_, Left());
  }
  out_.tensors_.reserve(tensor_count_);
  offsets_.reserve(tensor_count_);
  for (uint64_t i = 0; i < tensor_count_; ++i) {
    ASSIGN_OR_RETURN(auto tensor, ReadTensorInfo(i));
    out_.tensors_.push_back(tensor);
  }
  auto& order = out_.tensors_by_name_;
  order.resize(tensor_count_);
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return out_.tensors_[a].name < out_.tensors_[b].name; });
  for (size_t i = 1; i < order.size(); ++i) {
    const std::string_view name = out_.tensors_[order[i]].name;
    if (name == out_.tensors_[order[i - 1]].name) return Error(Code::kDataLoss, "tensor '{}': appears twice", ShownText(name));
  }
  return {};
}

Result<TensorView> GgufParser::ReadTensorInfo(uint64_t index) {
  const uint64_t begin = at_;
  TensorView tensor;
  const std::string ordinal = fmt::format("tensor {} of {}: name", index + 1, tensor_count_);
  ASSIGN_OR_RETURN(const auto name, ReadString(limits_.tensor_name_bytes, "tensor_name_bytes", ordinal));
  tensor.name = Text(name);
  if (!IsPlainName(tensor.name)) {
    return Error(Code::kDataLoss, "{} '{}' at offset {}: expected non-empty UTF-8 without control characters", ordinal,
                 ShownText(tensor.name), begin);
  }
  const std::string what = fmt::format("tensor '{}'", ShownText(tensor.name));
  ASSIGN_OR_RETURN(const uint32_t rank, Read<uint32_t>(what + ": rank"));
  if (rank < 1 || rank > kMaxTensorRank) {
    return Error(Code::kDataLoss, "{}: {} dimensions, expected 1 to {}", what, rank, kMaxTensorRank);
  }
  for (uint32_t i = 0; i < rank; ++i) {
    ASSIGN_OR_RETURN(tensor.dims[i], Read<uint64_t>(what + ": dimension"));
  }
  ASSIGN_OR_RETURN(const uint32_t type_id, Read<uint32_t>(what + ": type"));
  const auto type = DTypeFromGguf(type_id);
  if (!type) return Error(Code::kUnsupported, "{}: type {}, this build reads {}", what, TypeIdText(type_id), KnownTypes());
  tensor.dtype = *type;
  RETURN_IF_ERROR(ReadShape(rank, tensor).Within(what));
  ASSIGN_OR_RETURN(const uint64_t offset, Read<uint64_t>(what + ": offset"));
  offsets_.push_back(offset);
  return tensor;
}

Status GgufParser::ReadShape(uint32_t rank, TensorView& tensor) {
  tensor.rank = rank;
  tensor.cols = tensor.dims[0];
  for (uint32_t i = 0; i < rank; ++i) {
    if (tensor.dims[i] == 0) return Error(Code::kDataLoss, "dimension {} is 0", i);
    if (i == 0) continue;
    const auto rows = CheckedMul(tensor.rows, tensor.dims[i]);
    if (!rows) return Error(Code::kDataLoss, "its dimensions multiply to more than 64 bits");
    tensor.rows = *rows;
  }
  const DTypeInfo& info = Info(tensor.dtype);
  if (tensor.cols % info.block_elements != 0) {
    return Error(Code::kDataLoss, "rows of {} elements, expected a multiple of {} for type {}", tensor.cols, info.block_elements,
                 info.name);
  }
  return {};
}

Status GgufParser::PlaceTensors() {
  const auto data_begin = CheckedAlign(at_, out_.alignment_);
  if (!out_.tensors_.empty() && (!data_begin || *data_begin > file_.size())) {
    return Error(Code::kDataLoss, "tensor data should begin at the multiple of {} after byte {}, the file has {}",
                 out_.alignment_, at_, file_.size());
  }
  for (size_t i = 0; i < out_.tensors_.size(); ++i) {
    TensorView& tensor = out_.tensors_[i];
    RETURN_IF_ERROR(PlaceTensor(tensor, offsets_[i], *data_begin).Within(fmt::format("tensor '{}'", ShownText(tensor.name))));
    out_.tensor_bytes_ += tensor.data.size();  // cannot overflow: the parts do not overlap and lie in the file
  }
  return CheckOverlap();
}

Status GgufParser::PlaceTensor(TensorView& tensor, uint64_t offset, uint64_t data_begin) const {
  if (offset % out_.alignment_ != 0) {
    return Error(Code::kDataLoss, "offset {}, expected a multiple of the alignment {}", offset, out_.alignment_);
  }
  const DTypeInfo& info = Info(tensor.dtype);
  const auto row_bytes = CheckedMul<uint64_t>(tensor.cols / info.block_elements, info.block_bytes);
  const auto size = row_bytes ? CheckedMul(*row_bytes, tensor.rows) : std::nullopt;
  const auto begin = CheckedAdd(data_begin, offset);
  const auto end = size && begin ? CheckedAdd(*begin, *size) : std::nullopt;
  if (!end) {
    return Error(Code::kDataLoss, "{} rows of {} elements of type {} at offset {} end beyond 64 bits", tensor.rows, tensor.cols,
                 info.name, offset);
  }
  if (*end > file_.size()) {
    return Error(Code::kDataLoss, "needs bytes {}..{}, the file has {}", *begin, *end, file_.size());
  }
  tensor.data = file_.subspan(*begin, *size);
  return {};
}

Status GgufParser::CheckOverlap() const {
  std::vector<uint32_t> order(out_.tensors_.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return offsets_[a] < offsets_[b]; });
  for (size_t i = 1; i < order.size(); ++i) {
    const TensorView& before = out_.tensors_[order[i - 1]];
    const TensorView& after = out_.tensors_[order[i]];
    if (before.data.data() + before.data.size() > after.data.data()) {
      return Error(Code::kDataLoss, "tensor '{}': its data at offset {} overlaps that of tensor '{}' ({} bytes from offset {})",
                   ShownText(after.name), offsets_[order[i]], ShownText(before.name), before.data.size(), offsets_[order[i - 1]]);
    }
  }
  return {};
}

Result<GgufFile> GgufFile::Parse(std::span<const std::byte> file, const GgufLimits& limits) {
  return GgufParser(file, limits).Parse();
}

}  // namespace millrace::weights
