#include "model/model_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"

namespace millrace::model {

namespace {

constexpr size_t kModelRoles = static_cast<size_t>(Role::kAttnNorm);
constexpr size_t kLayerRoles = static_cast<size_t>(Role::kDown) + 1 - kModelRoles;

std::string ShapeText(const weights::TensorView& tensor) {
  std::string text;
  for (uint32_t i = tensor.rank; i > 0; --i) text += fmt::format("{}{}", text.empty() ? "" : ", ", tensor.dims[i - 1]);
  return "[" + text + "]";
}

Status CheckShape(const weights::TensorView& tensor, Role role, const Shape& shape) {
  const uint32_t rank = IsNorm(role) ? 1 : 2;
  if (tensor.rank != rank || tensor.rows != shape.rows || tensor.cols != shape.cols) {
    const std::string expected = rank == 1 ? fmt::format("[{}]", shape.cols) : fmt::format("[{}, {}]", shape.rows, shape.cols);
    return Error(Code::kDataLoss, "tensor '{}': expected shape {} ({}), found {}", tensor.name, expected, shape.meaning,
                 ShapeText(tensor));
  }
  if (IsNorm(role) && tensor.dtype != DType::kF32) {
    return Error(Code::kUnsupported, "tensor '{}': expected type F32 for a norm, found {}", tensor.name, Info(tensor.dtype).name);
  }
  return {};
}

}  // namespace

Result<ModelFile> ModelFile::Parse(std::span<const std::byte> bytes, const weights::GgufLimits& limits) {
  ASSIGN_OR_RETURN(auto gguf, weights::GgufFile::Parse(bytes, limits));
  ASSIGN_OR_RETURN(const auto architecture, gguf.GetString("general.architecture"));
  ASSIGN_OR_RETURN(const Family* family, FindFamily(architecture));
  ASSIGN_OR_RETURN(auto config, family->read_config(gguf));
  ModelFile file(std::move(gguf), std::move(config));
  RETURN_IF_ERROR(file.TakeTensors(*family));
  return file;
}

Status ModelFile::TakeTensors(const Family& family) {
  const size_t layers = config_.layers.size();
  tensors_.resize(kModelRoles + kLayerRoles * layers);
  std::vector<const weights::TensorView*> used;
  used.reserve(gguf_.tensors().size());
  for (const TensorName& name : family.tensors) {
    const size_t count = IsPerLayer(name.role) ? layers : 1;
    for (uint32_t layer = 0; layer < count; ++layer) RETURN_IF_ERROR(TakeTensor(name, layer, used));
  }
  if (config_.tied_head) tensors_[IndexOf(Role::kHead, 0)] = tensors_[IndexOf(Role::kEmbedding, 0)];
  return CheckAllUsed(std::move(used));
}

Status ModelFile::TakeTensor(const TensorName& name, uint32_t layer, std::vector<const weights::TensorView*>& used) {
  const std::string full_name = NameOf(name, layer);
  const weights::TensorView* tensor = gguf_.FindTensor(full_name);
  if (tensor == nullptr) {
    if (name.optional) return {};
    return Error(Code::kDataLoss, "tensor '{}': missing", full_name);
  }
  RETURN_IF_ERROR(CheckShape(*tensor, name.role, ShapeOf(name.role, config_, layer)));
  tensors_[IndexOf(name.role, layer)] = *tensor;
  used.push_back(tensor);
  return {};
}

Status ModelFile::CheckAllUsed(std::vector<const weights::TensorView*> used) const {
  std::sort(used.begin(), used.end());
  for (const weights::TensorView& tensor : gguf_.tensors()) {
    if (std::binary_search(used.begin(), used.end(), &tensor)) continue;
    return Error(Code::kUnsupported, "tensor '{}' {}: not part of a model of family {} with {} layers", tensor.name,
                 ShapeText(tensor), config_.family, config_.layers.size());
  }
  return {};
}

size_t ModelFile::IndexOf(Role role, uint32_t layer) const {
  const auto index = static_cast<size_t>(role);
  if (!IsPerLayer(role)) return index;
  CHECK(layer < config_.layers.size(), "the layer of a tensor must exist");
  return index + kLayerRoles * layer;
}

weights::TensorView ModelFile::Tensor(Role role, uint32_t layer) const { return tensors_[IndexOf(role, layer)]; }

}  // namespace millrace::model
