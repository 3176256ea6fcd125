#include "model/model_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"

namespace millrace::model {

namespace {

constexpr size_t kModelRoles = static_cast<size_t>(Role::kAttnNorm);
constexpr size_t kLayerRoles = kRoleCount - kModelRoles;
constexpr uint32_t kMaxVocab = 1U << 20;

bool SameBytes(const weights::TensorView& a, const weights::TensorView& b) {
  const auto same = [](std::span<const std::byte> x, std::span<const std::byte> y) { return std::ranges::equal(x, y); };
  return a.dtype == b.dtype && a.rows == b.rows && a.cols == b.cols && a.affine.group == b.affine.group && same(a.data, b.data) &&
         same(a.affine.scales, b.affine.scales) && same(a.affine.biases, b.affine.biases);
}

std::string ShapeText(const weights::TensorView& tensor) {
  std::string text;
  for (uint32_t i = tensor.rank; i > 0; --i) text += fmt::format("{}{}", text.empty() ? "" : ", ", tensor.dims[i - 1]);
  return "[" + text + "]";
}

// What a tensor must look like: the rows of several roles when they share it.
struct Expected {
  uint64_t rows = 0;
  uint64_t cols = 0;
  uint64_t experts = 0;  // of a tensor of experts, whose rank is 3
  bool vector = false;
  std::string meaning;

  std::string Text() const {
    if (experts != 0) return fmt::format("[{}, {}, {}]", experts, rows / experts, cols);
    return vector ? fmt::format("[{}]", cols) : fmt::format("[{}, {}]", rows, cols);
  }
};

Expected ExpectedOf(const TensorName& name, const ModelConfig& config, uint32_t layer) {
  Expected expected;
  for (uint32_t i = 0; i < name.fused; ++i) {
    const Shape shape = ShapeOf(RoleAfter(name.role, i), config, layer);
    expected.cols = shape.cols;
    expected.rows += shape.rows;
    expected.meaning += fmt::format("{}{}", i == 0 ? "" : " on top of ", shape.meaning);
  }
  expected.vector = IsVector(name.role);
  if (IsExpert(name.role)) expected.experts = config.layers[layer].experts.count;
  return expected;
}

Status CheckShape(const weights::TensorView& tensor, const Expected& expected) {
  const uint32_t rank = expected.vector ? 1 : expected.experts != 0 ? 3 : 2;
  const bool experts_match = expected.experts == 0 || tensor.dims[2] == expected.experts;
  if (tensor.rank != rank || tensor.rows != expected.rows || tensor.cols != expected.cols || !experts_match) {
    return Error(Code::kDataLoss, "tensor '{}': expected shape {} ({}), found {}", tensor.name, expected.Text(), expected.meaning,
                 ShapeText(tensor));
  }
  if (expected.vector && !IsFloat(tensor.dtype)) {
    return Error(Code::kUnsupported, "tensor '{}': expected type F32, F16 or BF16 for a vector, found {}", tensor.name,
                 Info(tensor.dtype).name);
  }
  return {};
}

}  // namespace

Result<ModelFile> ModelFile::Parse(std::span<const NamedFile> files, const weights::GgufLimits& limits) {
  ASSIGN_OR_RETURN(auto source, ModelSource::Parse(files, limits));
  return Of(std::move(source));
}

Result<ModelFile> ModelFile::Parse(std::span<const std::byte> bytes, const weights::GgufLimits& limits) {
  ASSIGN_OR_RETURN(auto source, ModelSource::ParseGguf(bytes, limits));
  return Of(std::move(source));
}

Result<ModelFile> ModelFile::Of(ModelSource source) {
  ASSIGN_OR_RETURN(const Metadata metadata, source.ReadMetadata());
  ASSIGN_OR_RETURN(const Family* family, FindFamily(metadata));
  ASSIGN_OR_RETURN(auto config, family->read_config(metadata));
  ModelFile file(std::move(source), std::move(config));
  RETURN_IF_ERROR(file.TakeEnds(*family));
  RETURN_IF_ERROR(file.TakeTensors(*family));
  return file;
}

const weights::TensorView* ModelFile::Use(const std::string& name) {
  const weights::TensorView* tensor = source_.FindTensor(name);
  if (tensor != nullptr) used_.push_back(tensor);
  return tensor;
}

Status ModelFile::InShard(const weights::TensorView& tensor, Status status) const {
  if (status.ok() || source_.is_gguf()) return status;
  return status.Within(source_.checkpoint().ShardOf(tensor));
}

// The embedding's rows are the truth about the vocabulary's size; the metadata may repeat it.
Status ModelFile::TakeEnds(const Family& family) {
  const auto name = std::find_if(family.tensors.begin(), family.tensors.end(),
                                 [](const TensorName& entry) { return entry.role == Role::kEmbedding; });
  CHECK(name != family.tensors.end(), "a family names the embedding");
  const weights::TensorView* embedding = source_.FindTensor(NameIn(*name));
  if (embedding == nullptr) return Error(Code::kDataLoss, "tensor '{}': missing", NameIn(*name));
  if (embedding->rows > kMaxVocab) {
    return Error(Code::kInvalidArgument, "tensor '{}': {} rows, expected at most {}", embedding->name, embedding->rows,
                 kMaxVocab);
  }
  config_.vocab = static_cast<uint32_t>(embedding->rows);
  ASSIGN_OR_RETURN(config_.tied_head, IsTied(family, *embedding));
  ASSIGN_OR_RETURN(const Metadata metadata, source_.ReadMetadata());
  constexpr Key kVocab{"vocab_size", "vocab_size"};
  ASSIGN_OR_RETURN(const uint32_t claimed, metadata.DimensionOr(kVocab, kMaxVocab, config_.vocab));
  if (claimed != config_.vocab) {
    return Error(Code::kDataLoss, "{}: {}, but tensor '{}' has {} rows", metadata.Where(kVocab), claimed, embedding->name,
                 config_.vocab);
  }
  return {};
}

Result<bool> ModelFile::IsTied(const Family& family, const weights::TensorView& embedding) {
  const auto name = std::find_if(family.tensors.begin(), family.tensors.end(),
                                 [](const TensorName& entry) { return entry.role == Role::kHead; });
  const bool named = name != family.tensors.end() && !NameIn(*name).empty();
  const weights::TensorView* head = named ? source_.FindTensor(NameIn(*name)) : nullptr;
  if (source_.is_gguf() || !named) return head == nullptr;
  constexpr Key kTied{"", "tie_word_embeddings"};
  ASSIGN_OR_RETURN(const Metadata metadata, source_.ReadMetadata());
  ASSIGN_OR_RETURN(const bool tied, metadata.BoolOr(kTied, family.tied_by_default));
  if (!tied || head == nullptr) return tied;
  if (!metadata.Has(kTied) && !SameBytes(*head, embedding)) {
    return Error(Code::kDataLoss,
                 "tensor '{}': differs from '{}', although models of family {} share one tensor; expected '{}' in config.json",
                 head->name, embedding.name, family.name, kTied.config);
  }
  used_.push_back(head);
  return true;
}

Status ModelFile::TakeTensors(const Family& family) {
  const size_t layers = config_.layers.size();
  tensors_.resize(kModelRoles + kLayerRoles * layers);
  for (const TensorName& name : family.tensors) {
    const size_t count = IsPerLayer(name.role) ? layers : 1;
    for (uint32_t layer = 0; layer < count; ++layer) RETURN_IF_ERROR(TakeTensor(name, layer));
  }
  if (config_.tied_head) At(Role::kHead, 0) = At(Role::kEmbedding, 0);
  RETURN_IF_ERROR(CheckComplete(family));
  return CheckAllUsed(family);
}

Status ModelFile::TakeTensor(const TensorName& name, uint32_t layer) {
  const std::string_view pattern = NameIn(name);
  if (pattern.empty() || !IsUsed(name.role, config_, config_.layers[layer])) return {};
  if (name.role == Role::kHead && config_.tied_head) return {};
  if (IsExpert(name.role) && HoldsOneExpert(pattern)) return TakeExperts(name, layer);
  const weights::TensorView* tensor = Use(NameOf(pattern, layer));
  return tensor == nullptr ? Status() : InShard(*tensor, TakeWhole(name, layer, *tensor));
}

// One tensor that holds everything of its role, or of several.
Status ModelFile::TakeWhole(const TensorName& name, uint32_t layer, weights::TensorView tensor) {
  RETURN_IF_ERROR(CheckShape(tensor, ExpectedOf(name, config_, layer)));
  if (!source_.is_gguf()) tensor.offset = name.checkpoint_offset;
  uint64_t begin = 0;
  for (uint32_t i = 0; i < name.fused; ++i) {
    const Role role = RoleAfter(name.role, i);
    if (Has(role, layer)) {
      return Error(Code::kDataLoss, "tensor '{}': the file has other tensors for the same purpose", tensor.name);
    }
    const uint64_t rows = ShapeOf(role, config_, layer).rows;
    At(role, layer) = name.fused == 1 ? tensor : SliceRows(tensor, begin, rows);
    begin += rows;
  }
  return {};
}

// A tensor for each expert, or for none.
Status ModelFile::TakeExperts(const TensorName& name, uint32_t layer) {
  const std::string_view pattern = NameIn(name);
  if (source_.FindTensor(NameOf(pattern, layer, 0)) == nullptr) return {};
  if (Has(name.role, layer)) {
    return Error(Code::kDataLoss, "tensor '{}': the file has other tensors for the same purpose", NameOf(pattern, layer, 0));
  }
  Expected expected = ExpectedOf(name, config_, layer);
  const uint64_t count = std::exchange(expected.experts, 0);
  expected.rows /= count;
  std::vector<weights::TensorView> tensors;
  for (uint32_t expert = 0; expert < count; ++expert) {
    const weights::TensorView* tensor = Use(NameOf(pattern, layer, expert));
    if (tensor == nullptr) return Error(Code::kDataLoss, "tensor '{}': missing", NameOf(pattern, layer, expert));
    RETURN_IF_ERROR(InShard(*tensor, CheckShape(*tensor, expected)));
    tensors.push_back(*tensor);
  }
  experts_[IndexOf(name.role, layer)] = std::move(tensors);
  return {};
}

Status ModelFile::CheckComplete(const Family& family) const {
  for (uint32_t layer = 0; layer < config_.layers.size(); ++layer) {
    for (const Role role : RequiredRoles(config_, config_.layers[layer])) {
      if (Has(role, layer)) continue;
      const auto named = [&](const TensorName& name) {
        return name.role <= role && RoleAfter(name.role, name.fused) > role && !NameIn(name).empty();
      };
      const auto name = std::find_if(family.tensors.begin(), family.tensors.end(), named);
      CHECK(name != family.tensors.end(), "a family names every role that its configurations need");
      return Error(Code::kDataLoss, "tensor '{}': missing", NameOf(NameIn(*name), layer));
    }
    // Biases of q, k and v come together: the ops know one bias of all three.
    if (Has(Role::kQueryBias, layer) != Has(Role::kKeyBias, layer) ||
        Has(Role::kKeyBias, layer) != Has(Role::kValueBias, layer)) {
      return Error(Code::kDataLoss, "layer {}: expected biases of queries, keys and values, or none of them", layer);
    }
  }
  return {};
}

Status ModelFile::CheckAllUsed(const Family& family) {
  std::sort(used_.begin(), used_.end());
  for (const weights::TensorView& tensor : source_.tensors()) {
    if (std::binary_search(used_.begin(), used_.end(), &tensor)) continue;
    const auto& read = family.config_tensors;
    if (source_.is_gguf() && std::find(read.begin(), read.end(), tensor.name) != read.end()) continue;
    return InShard(tensor, Error(Code::kUnsupported, "tensor '{}' {}: not part of a model of family {} with {} layers",
                                 tensor.name, ShapeText(tensor), config_.family, config_.layers.size()));
  }
  used_ = {};
  return {};
}

size_t ModelFile::IndexOf(Role role, uint32_t layer) const {
  const auto index = static_cast<size_t>(role);
  if (!IsPerLayer(role)) return index;
  CHECK(layer < config_.layers.size(), "the layer of a tensor must exist");
  return index + kLayerRoles * layer;
}

bool ModelFile::Has(Role role, uint32_t layer) const {
  const size_t index = IndexOf(role, layer);
  return !tensors_[index].data.empty() || experts_.contains(index);
}

weights::TensorView ModelFile::Tensor(Role role, uint32_t layer) const {
  const size_t index = IndexOf(role, layer);
  CHECK(!experts_.contains(index), "experts that lie apart are asked for one by one");
  return tensors_[index];
}

weights::TensorView ModelFile::Expert(Role role, uint32_t layer, uint32_t expert) const {
  if (const auto apart = experts_.find(IndexOf(role, layer)); apart != experts_.end()) return apart->second[expert];
  const weights::TensorView all = Tensor(role, layer);
  const uint64_t rows = all.rows / config_.layers[layer].experts.count;
  return SliceRows(all, expert * rows, rows);
}

uint64_t ModelFile::SourceBytes(Role role, uint32_t layer) const {
  const auto apart = experts_.find(IndexOf(role, layer));
  if (apart == experts_.end()) return Tensor(role, layer).source_bytes();
  uint64_t bytes = 0;
  for (const weights::TensorView& tensor : apart->second) bytes += tensor.source_bytes();
  return bytes;
}

// What Quantise replaces; a tied head is not among them, it follows the embedding.
std::vector<weights::TensorView*> ModelFile::FloatMatrices() {
  std::vector<weights::TensorView*> found;
  const auto take = [&](Role role, weights::TensorView& tensor) {
    const bool floats = !tensor.data.empty() && IsFloat(tensor.dtype) && tensor.rank >= 2;
    if (floats && !IsVector(role) && role != Role::kRouter && weights::AffineGroupFor(tensor.cols) != 0) found.push_back(&tensor);
  };
  for (size_t i = 0; i < kRoleCount; ++i) {
    const auto role = static_cast<Role>(i);
    if (role == Role::kHead && config_.tied_head) continue;
    const size_t count = IsPerLayer(role) ? config_.layers.size() : 1;
    for (uint32_t layer = 0; layer < count; ++layer) {
      take(role, At(role, layer));
      const auto apart = experts_.find(IndexOf(role, layer));
      if (apart == experts_.end()) continue;
      for (weights::TensorView& tensor : apart->second) take(role, tensor);
    }
  }
  return found;
}

Status ModelFile::Quantise(uint32_t bits, const ForRows& for_rows,
                           const std::function<void(size_t done, size_t total)>& progress) {
  if (bits != 4 && bits != 8) return Error(Code::kInvalidArgument, "quantising to {} bits, expected 4 or 8", bits);
  const auto matrices = FloatMatrices();
  if (matrices.empty()) {
    return Error(Code::kInvalidArgument, "quantising to {} bits: the model's matrices are quantised already", bits);
  }
  quantised_.reserve(matrices.size());
  for (weights::TensorView* tensor : matrices) {
    ASSIGN_OR_RETURN(auto matrix, weights::AffineMatrix::For(*tensor, bits, weights::AffineGroupFor(tensor->cols)));
    for_rows(tensor->rows, [&matrix](uint64_t begin, uint64_t end) { matrix.FillRows(begin, end); });
    quantised_.push_back(std::move(matrix));
    *tensor = quantised_.back().view();
    if (progress) progress(quantised_.size(), matrices.size());
  }
  if (config_.tied_head) At(Role::kHead, 0) = At(Role::kEmbedding, 0);
  return {};
}

}  // namespace millrace::model
