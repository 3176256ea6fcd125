// The ops of model/backend.h in double precision, written as their definitions read: what every backend is held against.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "model/config.h"
#include "model/testing/random_tensor.h"

namespace millrace::model::testing {

inline Vector Times(const Matrix& w, const Vector& x) {
  Vector y(w.rows);
  for (size_t row = 0; row < w.rows; ++row) {
    for (size_t i = 0; i < w.cols; ++i) y[row] += w.Row(row)[i] * x[i];
  }
  return y;
}

// Nothing is added where y is empty.
inline void AddTo(Vector& x, const Vector& y, double scale = 1) {
  for (size_t i = 0; i < y.size(); ++i) x[i] += scale * y[i];
}

struct PlainNorm {
  NormKind kind = NormKind::kRms;
  Vector weight;  // empty = no norm
  Vector bias;    // or empty
  double epsilon = 0;
};

inline Vector Normalise(const PlainNorm& norm, Vector x) {
  if (norm.weight.empty()) return x;
  const auto count = static_cast<double>(x.size());
  double mean = 0;
  if (norm.kind == NormKind::kLayer) {
    for (const double value : x) mean += value / count;
  }
  double square = 0;
  for (const double value : x) square += (value - mean) * (value - mean) / count;
  for (size_t i = 0; i < x.size(); ++i) x[i] = (x[i] - mean) / std::sqrt(square + norm.epsilon) * norm.weight[i];
  AddTo(x, norm.bias);
  return x;
}

// The norm of each stretch of weight.size() elements by itself.
inline void NormaliseEach(const Vector& weight, double epsilon, Vector& x) {
  for (size_t at = 0; at < x.size(); at += weight.size()) {
    const auto begin = x.begin() + static_cast<std::ptrdiff_t>(at);
    const Vector part(begin, begin + static_cast<std::ptrdiff_t>(weight.size()));
    const Vector normal = Normalise({.kind = NormKind::kRms, .weight = weight, .bias = {}, .epsilon = epsilon}, part);
    std::copy(normal.begin(), normal.end(), begin);
  }
}

inline void Rotate(const RopeConfig& rope, uint32_t head_dim, size_t position, Vector& heads) {
  const bool adjacent = rope.style == RopeStyle::kAdjacentPairs;
  for (size_t at = 0; at < heads.size(); at += head_dim) {
    for (size_t i = 0; i < rope.frequencies.size(); ++i) {
      const double angle = static_cast<double>(position) * rope.frequencies[i];
      double& a = heads[at + (adjacent ? 2 * i : i)];
      double& b = heads[at + (adjacent ? 2 * i + 1 : i + rope.frequencies.size())];
      const double first = rope.magnitude * (a * std::cos(angle) - b * std::sin(angle));
      b = rope.magnitude * (b * std::cos(angle) + a * std::sin(angle));
      a = first;
    }
  }
}

inline double Softcap(double x, double cap) { return cap == 0 ? x : cap * std::tanh(x / cap); }

inline double Activate(Activation activation, double x) {
  if (activation == Activation::kSilu) return x / (1 + std::exp(-x));
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

// One query row over the keys and values of positions 0..position, as far as the layer's window reaches.
inline Vector AttendRow(const LayerConfig& shape, const Vector& q, const std::vector<Vector>& keys,
                        const std::vector<Vector>& values, size_t position) {
  const size_t first = shape.window == 0 || position < shape.window ? 0 : position + 1 - shape.window;
  Vector out(q.size());
  for (uint32_t head = 0; head < shape.heads; ++head) {
    const size_t kv = size_t{head / (shape.heads / shape.kv_heads)} * shape.head_dim;
    Vector weights;
    double sum = 0;
    for (size_t p = first; p <= position; ++p) {
      double score = 0;
      for (uint32_t d = 0; d < shape.head_dim; ++d) score += q[head * shape.head_dim + d] * keys[p][kv + d];
      weights.push_back(std::exp(Softcap(score * shape.attention_scale, shape.attention_softcap)));
      sum += weights.back();
    }
    for (size_t p = first; p <= position; ++p) {
      for (uint32_t d = 0; d < shape.head_dim; ++d) {
        out[head * shape.head_dim + d] += weights[p - first] / sum * values[p][kv + d];
      }
    }
  }
  return out;
}

struct PlainExpert {
  Matrix gate, up, down;
};

inline Vector GatedMlp(const PlainExpert& expert, Activation activation, const Vector& n) {
  Vector gate = Times(expert.gate, n);
  const Vector up = Times(expert.up, n);
  for (size_t i = 0; i < gate.size(); ++i) gate[i] = Activate(activation, gate[i]) * up[i];
  return Times(expert.down, gate);
}

inline Vector SumOfExperts(const ExpertsConfig& config, Activation activation, const Matrix& router,
                           const std::vector<PlainExpert>& experts, const Vector& n) {
  Vector shares = Times(router, n);
  double sum = 0;
  for (double& share : shares) sum += share = std::exp(share);
  for (double& share : shares) share /= sum;
  std::vector<size_t> order(config.count);
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return shares[a] > shares[b]; });
  order.resize(config.used);
  double chosen = 0;
  for (const size_t expert : order) chosen += shares[expert];
  Vector y(experts[0].down.rows);
  for (const size_t expert : order) {
    AddTo(y, GatedMlp(experts[expert], activation, n), shares[expert] / (config.renormalise ? chosen : 1.0));
  }
  return y;
}

}  // namespace millrace::model::testing
