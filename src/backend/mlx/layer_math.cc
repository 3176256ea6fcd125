#include "backend/mlx/layer_math.h"

#include <mlx/device.h>
#include <mlx/ops.h>

#include <stdexcept>
#include <utility>

namespace millrace::backend_mlx {
namespace {

namespace mx = mlx::core;

mx::array Last(const mx::array& x, int begin, int end) {
  mx::Shape start(x.ndim(), 0), stop = x.shape();
  start.back() = begin;
  stop.back() = end;
  return mx::slice(x, start, stop);
}

mx::array MultiplyPart(const mx::array& x, const MatrixPart& part) {
  const mx::array ready = mx::astype(x, part.scales ? part.scales->dtype() : part.data.dtype());
  const mx::array y = part.scales ? mx::quantized_matmul(ready, part.data, *part.scales, part.biases, true, part.group, part.bits)
                                  : mx::matmul(ready, mx::transpose(part.data));
  return mx::astype(y, mx::float32);
}

// x [tokens, k or 1, 1, cols], experts [tokens, k] -> [tokens, k, 1, rows per expert].
mx::array MultiplyByExpert(const mx::array& x, const StoredWeight& weight, const mx::array& experts, int count) {
  if (weight.parts.size() != 1) throw std::invalid_argument("experts of different types in one layer");
  const MatrixPart& part = weight.parts[0];
  const auto split = [count](const mx::array& all) { return mx::reshape(all, {count, all.shape(0) / count, all.shape(1)}); };
  if (part.scales) {
    const mx::array ready = mx::astype(x, part.scales->dtype());
    return mx::astype(mx::gather_qmm(ready, split(part.data), split(*part.scales), split(*part.biases), std::nullopt, experts,
                                     true, part.group, part.bits),
                      mx::float32);
  }
  // On processors MLX gathers float32 only.
  const mx::Dtype type = mx::default_device() == mx::Device::cpu ? mx::float32 : part.data.dtype();
  const mx::array matrices = mx::transpose(split(mx::astype(part.data, type)), {0, 2, 1});
  return mx::astype(mx::gather_mm(mx::astype(x, type), matrices, std::nullopt, experts), mx::float32);
}

}  // namespace

mx::array Multiply(const mx::array& x, const StoredWeight& weight) {
  std::vector<mx::array> products;
  for (const MatrixPart& part : weight.parts) products.push_back(MultiplyPart(x, part));
  return products.size() == 1 ? products[0] : mx::concatenate(std::move(products), -1);
}

mx::array TakeRows(const StoredWeight& weight, const mx::array& ids) {
  const MatrixPart& part = weight.parts.at(0);
  const mx::array data = mx::take(part.data, ids, 0);
  if (!part.scales) return mx::astype(data, mx::float32);
  return mx::astype(mx::dequantize(data, mx::take(*part.scales, ids, 0), mx::take(*part.biases, ids, 0), part.group, part.bits),
                    mx::float32);
}

mx::array Activate(model::Activation activation, const mx::array& x) {
  if (activation == model::Activation::kSilu) return mx::multiply(x, mx::sigmoid(x));
  constexpr float kSqrtTwoOverPi = 0.7978845608F;
  const mx::array cubic = mx::multiply(mx::array(0.044715F), mx::multiply(x, mx::square(x)));
  const mx::array inner = mx::tanh(mx::multiply(mx::array(kSqrtTwoOverPi), mx::add(x, cubic)));
  return mx::multiply(mx::multiply(mx::array(0.5F), x), mx::add(mx::array(1.0F), inner));
}

mx::array Softcap(const mx::array& x, float cap) {
  if (cap == 0) return x;
  return mx::multiply(mx::array(cap), mx::tanh(mx::multiply(mx::array(1.0F / cap), x)));
}

mx::array Gated(model::Activation activation, const mx::array& gate_up) {
  const int width = gate_up.shape(-1) / 2;
  return mx::multiply(Activate(activation, Last(gate_up, 0, width)), Last(gate_up, width, 2 * width));
}

mx::array MixExperts(const mx::array& x, const mx::array& logits, const ExpertWeights& weights,
                     const model::ExpertsConfig& config, model::Activation activation) {
  const int count = static_cast<int>(config.count);
  const int used = static_cast<int>(config.used);
  const mx::array shares = mx::softmax(logits, -1, /*precise=*/true);
  // Stable, so that of equal experts the lower one is chosen.
  const mx::array chosen = mx::astype(Last(mx::argsort(mx::negative(shares), -1), 0, used), mx::uint32);
  mx::array weight = mx::take_along_axis(shares, chosen, -1);  // [tokens, used]
  if (config.renormalise) weight = mx::divide(weight, mx::sum(weight, -1, true));
  const mx::array rows = mx::reshape(x, {x.shape(0), 1, 1, x.shape(1)});
  const mx::array inner = Gated(activation, MultiplyByExpert(rows, weights.gate_up, chosen, count));
  const mx::array outer = mx::squeeze(MultiplyByExpert(inner, weights.down, chosen, count), 2);  // [tokens, used, hidden]
  return mx::sum(mx::multiply(outer, mx::expand_dims(weight, -1)), 1);
}

}  // namespace millrace::backend_mlx
