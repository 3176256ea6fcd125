// A forward pass in double precision over any weight source (a ModelFile, RandomWeights): no cache, no batch, no tricks.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "base/types.h"
#include "model/config.h"
#include "model/testing/plain_ops.h"

namespace millrace::model::testing {

template <typename Source>
class PlainForward {
 public:
  explicit PlainForward(const Source& source) : source_(source), config_(source.config()) {}

  // Logits of every position.
  std::vector<Vector> Run(const std::vector<TokenId>& tokens) {
    std::vector<Vector> all;
    keys_.assign(config_.layers.size(), {});
    values_.assign(config_.layers.size(), {});
    for (size_t position = 0; position < tokens.size(); ++position) {
      const double* row = Weights(Role::kEmbedding).Row(static_cast<size_t>(tokens[position]));
      Vector x(row, row + config_.hidden);
      for (double& value : x) value *= config_.embedding_scale;
      for (uint32_t layer = 0; layer < config_.layers.size(); ++layer) {
        AddTo(x, Attention(layer, x, position), config_.residual_scale);
        AddTo(x, Mlp(layer, x), config_.residual_scale);
      }
      const Vector n = Normalise(Norm(Role::kOutputNorm, Role::kOutputNormBias, 0), x);
      Vector logits = Times(Weights(config_.tied_head ? Role::kEmbedding : Role::kHead), n);
      for (double& logit : logits) logit = Softcap(logit * config_.logit_scale, config_.logit_softcap);
      all.push_back(std::move(logits));
    }
    return all;
  }

 private:
  const Matrix& Weights(Role role, uint32_t layer = 0) {
    const auto found = matrices_.find({role, layer});
    if (found != matrices_.end()) return found->second;
    return matrices_.emplace(std::pair{role, layer}, Dequantise(source_.Tensor(role, layer))).first->second;
  }

  // Empty where the model has none.
  Vector Values(Role role, uint32_t layer) { return source_.Has(role, layer) ? Weights(role, layer).values : Vector(); }

  PlainNorm Norm(Role weight, Role bias, uint32_t layer) {
    return {.kind = config_.norm, .weight = Values(weight, layer), .bias = Values(bias, layer), .epsilon = config_.norm_epsilon};
  }
  PlainNorm PostNorm(Role weight, uint32_t layer) {
    return {.kind = NormKind::kRms, .weight = Values(weight, layer), .bias = {}, .epsilon = config_.norm_epsilon};
  }

  Vector Product(Role weight, Role bias, uint32_t layer, const Vector& x) {
    Vector y = Times(Weights(weight, layer), x);
    AddTo(y, Values(bias, layer));
    return y;
  }

  Vector Attention(uint32_t layer, const Vector& x, size_t position) {
    const LayerConfig& shape = config_.layers[layer];
    const Vector n = Normalise(Norm(Role::kAttnNorm, Role::kAttnNormBias, layer), x);
    Vector q = Product(Role::kQuery, Role::kQueryBias, layer, n);
    Vector k = Product(Role::kKey, Role::kKeyBias, layer, n);
    if (shape.qk_norm != QkNorm::kNone) {
      NormaliseEach(Values(Role::kQueryNorm, layer), config_.norm_epsilon, q);
      NormaliseEach(Values(Role::kKeyNorm, layer), config_.norm_epsilon, k);
    }
    if (shape.rope >= 0) {
      Rotate(config_.ropes[static_cast<size_t>(shape.rope)], shape.head_dim, position, q);
      Rotate(config_.ropes[static_cast<size_t>(shape.rope)], shape.head_dim, position, k);
    }
    keys_[layer].push_back(std::move(k));
    values_[layer].push_back(Product(Role::kValue, Role::kValueBias, layer, n));
    const Vector a = AttendRow(shape, q, keys_[layer], values_[layer], position);
    return Normalise(PostNorm(Role::kAttnPostNorm, layer), Product(Role::kAttnOut, Role::kAttnOutBias, layer, a));
  }

  Vector Mlp(uint32_t layer, const Vector& x) {
    const LayerConfig& shape = config_.layers[layer];
    const Vector n = Normalise(Norm(Role::kMlpNorm, Role::kMlpNormBias, layer), x);
    const PlainNorm post = PostNorm(Role::kMlpPostNorm, layer);
    if (shape.mlp == MlpKind::kExperts) {
      return Normalise(post, SumOfExperts(shape.experts, shape.activation, Weights(Role::kRouter, layer), ExpertsOf(layer), n));
    }
    Vector h = Product(Role::kUp, Role::kUpBias, layer, n);
    const Vector gate = shape.mlp == MlpKind::kGated ? Times(Weights(Role::kGate, layer), n) : Vector();
    for (size_t i = 0; i < h.size(); ++i) {
      h[i] = gate.empty() ? Activate(shape.activation, h[i]) : Activate(shape.activation, gate[i]) * h[i];
    }
    return Normalise(post, Product(Role::kDown, Role::kDownBias, layer, h));
  }

  const std::vector<PlainExpert>& ExpertsOf(uint32_t layer) {
    std::vector<PlainExpert>& experts = experts_[layer];
    for (uint32_t i = static_cast<uint32_t>(experts.size()); i < config_.layers[layer].experts.count; ++i) {
      experts.push_back({Dequantise(source_.Expert(Role::kExpertGate, layer, i)),
                         Dequantise(source_.Expert(Role::kExpertUp, layer, i)),
                         Dequantise(source_.Expert(Role::kExpertDown, layer, i))});
    }
    return experts;
  }

  const Source& source_;
  const ModelConfig& config_;
  std::map<std::pair<Role, uint32_t>, Matrix> matrices_;
  std::map<uint32_t, std::vector<PlainExpert>> experts_;
  std::vector<std::vector<Vector>> keys_, values_;  // by layer, by position
};

// rms of the difference over rms of what is right.
inline double RelativeError(const std::vector<Vector>& expected, const std::vector<float>& found) {
  double error = 0, magnitude = 0;
  size_t at = 0;
  for (const Vector& row : expected) {
    for (const double value : row) {
      const double difference = at < found.size() ? static_cast<double>(found[at]) - value : 1e30;
      error += difference * difference;
      magnitude += value * value;
      ++at;
    }
  }
  return at == found.size() ? std::sqrt(error / magnitude) : 1e30;
}

}  // namespace millrace::model::testing
