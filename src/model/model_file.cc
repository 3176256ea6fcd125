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

bool IsExpert(Role role) { return role >= Role::kExpertGate; }
Role RoleAfter(Role role, uint32_t by) { return static_cast<Role>(static_cast<uint32_t>(role) + by); }

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

Result<ModelFile> ModelFile::Parse(std::span<const std::byte> bytes, const weights::GgufLimits& limits) {
  ASSIGN_OR_RETURN(auto gguf, weights::GgufFile::Parse(bytes, limits));
  ASSIGN_OR_RETURN(const Metadata metadata, Metadata::Of(gguf));
  ASSIGN_OR_RETURN(const Family* family, FindFamily(metadata));
  ASSIGN_OR_RETURN(auto config, family->read_config(metadata));
  ModelFile file(std::move(gguf), std::move(config));
  RETURN_IF_ERROR(file.TakeEnds());
  RETURN_IF_ERROR(file.TakeTensors(*family));
  return file;
}

// The embedding's rows are the truth about the vocabulary's size; the metadata may repeat it.
Status ModelFile::TakeEnds() {
  const weights::TensorView* embedding = gguf_.FindTensor("token_embd.weight");
  if (embedding == nullptr) return Error(Code::kDataLoss, "tensor 'token_embd.weight': missing");
  if (embedding->rows > kMaxVocab) {
    return Error(Code::kInvalidArgument, "tensor 'token_embd.weight': {} rows, expected at most {}", embedding->rows, kMaxVocab);
  }
  config_.vocab = static_cast<uint32_t>(embedding->rows);
  config_.tied_head = gguf_.FindTensor("output.weight") == nullptr;
  ASSIGN_OR_RETURN(const Metadata metadata, Metadata::Of(gguf_));
  constexpr Key kVocab{"vocab_size", "vocab_size"};
  ASSIGN_OR_RETURN(const uint32_t claimed, metadata.DimensionOr(kVocab, kMaxVocab, config_.vocab));
  if (claimed != config_.vocab) {
    return Error(Code::kDataLoss, "{}: {}, but tensor 'token_embd.weight' has {} rows", metadata.Where(kVocab), claimed,
                 config_.vocab);
  }
  return {};
}

Status ModelFile::TakeTensors(const Family& family) {
  const size_t layers = config_.layers.size();
  tensors_.resize(kModelRoles + kLayerRoles * layers);
  used_.reserve(gguf_.tensors().size());
  for (const TensorName& name : family.tensors) {
    const size_t count = IsPerLayer(name.role) ? layers : 1;
    for (uint32_t layer = 0; layer < count; ++layer) RETURN_IF_ERROR(TakeTensor(name, layer));
  }
  if (config_.tied_head) At(Role::kHead, 0) = At(Role::kEmbedding, 0);
  RETURN_IF_ERROR(CheckComplete(family));
  return CheckAllUsed(family);
}

Status ModelFile::TakeTensor(const TensorName& name, uint32_t layer) {
  if (name.gguf.empty() || !IsUsed(name.role, config_, config_.layers[layer])) return {};
  const weights::TensorView* tensor = gguf_.FindTensor(NameOf(name.gguf, layer));
  if (tensor == nullptr) return {};
  RETURN_IF_ERROR(CheckShape(*tensor, ExpectedOf(name, config_, layer)));
  used_.push_back(tensor);
  if (name.fused == 1) {
    At(name.role, layer) = *tensor;
    return {};
  }
  uint64_t begin = 0;
  for (uint32_t i = 0; i < name.fused; ++i) {
    const Role role = RoleAfter(name.role, i);
    const uint64_t rows = ShapeOf(role, config_, layer).rows;
    At(role, layer) = SliceRows(*tensor, begin, rows);
    begin += rows;
  }
  return {};
}

Status ModelFile::CheckComplete(const Family& family) const {
  for (uint32_t layer = 0; layer < config_.layers.size(); ++layer) {
    for (const Role role : RequiredRoles(config_, config_.layers[layer])) {
      if (Has(role, layer)) continue;
      const auto named = [role](const TensorName& name) {
        return name.role <= role && RoleAfter(name.role, name.fused) > role && !name.gguf.empty();
      };
      const auto name = std::find_if(family.tensors.begin(), family.tensors.end(), named);
      CHECK(name != family.tensors.end(), "a family names every role that its configurations need");
      return Error(Code::kDataLoss, "tensor '{}': missing", NameOf(name->gguf, layer));
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
  for (const weights::TensorView& tensor : gguf_.tensors()) {
    if (std::binary_search(used_.begin(), used_.end(), &tensor)) continue;
    const auto& read = family.config_tensors;
    if (std::find(read.begin(), read.end(), tensor.name) != read.end()) continue;
    return Error(Code::kUnsupported, "tensor '{}' {}: not part of a model of family {} with {} layers", tensor.name,
                 ShapeText(tensor), config_.family, config_.layers.size());
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

bool ModelFile::Has(Role role, uint32_t layer) const { return !tensors_[IndexOf(role, layer)].data.empty(); }

weights::TensorView ModelFile::Tensor(Role role, uint32_t layer) const { return tensors_[IndexOf(role, layer)]; }

weights::TensorView ModelFile::Expert(Role role, uint32_t layer, uint32_t expert) const {
  const weights::TensorView all = Tensor(role, layer);
  const uint64_t rows = all.rows / config_.layers[layer].experts.count;
  return SliceRows(all, expert * rows, rows);
}

}  // namespace millrace::model
