// Random weights for any ModelConfig, by role: a weight source for the decoder that needs no file and no family.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "model/config.h"
#include "model/families.h"
#include "model/testing/random_tensor.h"
#include "weights/tensor_view.h"

namespace millrace::model::testing {

struct RandomWeightsOptions {
  DType matrices = DType::kF32;
  DType vectors = DType::kF32;
  bool biases = false;    // those that a model of this configuration may have or not
  float norm_offset = 0;  // norms are stored without it
  uint32_t seed = 1;
};

class RandomWeights {
 public:
  explicit RandomWeights(ModelConfig config, const RandomWeightsOptions& options = {})
      : config_(std::move(config)), options_(options), random_(options.seed) {
    for (size_t i = 0; i < kRoleCount; ++i) {
      const auto role = static_cast<Role>(i);
      if (!IsPerLayer(role)) {
        if (role == Role::kHead ? !config_.tied_head : Wanted(role, {})) Add(role, 0);
        continue;
      }
      for (uint32_t layer = 0; layer < config_.layers.size(); ++layer) {
        if (Wanted(role, config_.layers[layer])) Add(role, layer);
      }
    }
  }

  const ModelConfig& config() const { return config_; }
  bool Has(Role role, uint32_t layer = 0) const { return tensors_.count({role, layer}) != 0; }
  weights::TensorView Tensor(Role role, uint32_t layer = 0) const { return tensors_.at({role, layer}).view(); }
  weights::TensorView Expert(Role role, uint32_t layer, uint32_t expert) const {
    const weights::TensorView all = Tensor(role, layer);
    const uint64_t rows = all.rows / config_.layers[layer].experts.count;
    return weights::SliceRows(all, expert * rows, rows);
  }

 private:
  bool Wanted(Role role, const LayerConfig& layer) const {
    for (const Role required : RequiredRoles(config_, layer)) {
      if (required == role) return true;
    }
    return options_.biases && IsBias(role) && IsUsed(role, config_, layer);
  }

  static bool IsBias(Role role) {
    switch (role) {
      case Role::kQueryBias:
      case Role::kKeyBias:
      case Role::kValueBias:
      case Role::kAttnOutBias:
      case Role::kUpBias:
      case Role::kDownBias:
        return true;
      default:
        return false;
    }
  }

  static bool IsNormWeight(Role role) {
    return IsVector(role) && !IsBias(role) && role != Role::kOutputNormBias && role != Role::kAttnNormBias &&
           role != Role::kMlpNormBias;
  }

  // Activations stay near 1 everywhere: rows of a matrix have a norm near 1, norms are near 1, biases are small.
  void Add(Role role, uint32_t layer) {
    const Shape shape = ShapeOf(role, config_, layer);
    RandomTensor::Spec spec;
    spec.name = "role " + std::to_string(static_cast<int>(role)) + " of layer " + std::to_string(layer);
    spec.rows = shape.rows;
    spec.cols = shape.cols;
    spec.vector = IsVector(role);
    // The router stays exact: a choice that rounding turns over is no small error.
    spec.dtype = spec.vector ? options_.vectors : role == Role::kRouter ? DType::kF32 : options_.matrices;
    spec.mean = IsNormWeight(role) ? 1.0F : 0.0F;
    spec.deviation = spec.vector ? 0.2F : 1.0F / std::sqrt(static_cast<float>(shape.cols));
    if (role == Role::kEmbedding) spec.deviation = 1.0F / config_.embedding_scale;
    if (IsNormWeight(role)) spec.offset = options_.norm_offset;
    tensors_.emplace(std::pair{role, layer}, RandomTensor(spec, random_));
  }

  ModelConfig config_;
  RandomWeightsOptions options_;
  std::mt19937 random_;
  std::map<std::pair<Role, uint32_t>, RandomTensor> tensors_;
};

}  // namespace millrace::model::testing
