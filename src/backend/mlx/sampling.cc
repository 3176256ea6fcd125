#include "backend/mlx/sampling.h"

#include <mlx/ops.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/philox.h"
#include "base/types.h"

namespace millrace::backend_mlx {
namespace {

namespace mx = mlx::core;
using Sampling = std::span<const model::DeviceSampling>;

// [rows, 1], one value of each row's parameters.
template <typename Value>
mx::array Column(Sampling sampling, Value&& value) {
  std::vector<float> values;
  for (const model::DeviceSampling& one : sampling) values.push_back(static_cast<float>(value(one)));
  return mx::array(values.data(), {static_cast<int>(values.size()), 1}, mx::float32);
}

bool Draws(const model::DeviceSampling& one) { return one.temperature > 0; }
bool Sorts(const model::DeviceSampling& one) { return Draws(one) && (one.top_k > 0 || one.top_p < 1); }

// weights [rows, vocab] with zeros where top-k and top-p drop a token. The share of top-p is of what top-k left.
mx::array KeepLikeliest(const mx::array& logits, const mx::array& weights, Sampling sampling) {
  const int vocab = logits.shape(1);
  const mx::array order = mx::argsort(mx::negative(logits), -1);  // stable: of equal logits the lower id is first
  const mx::array sorted = mx::take_along_axis(weights, order, -1);
  const mx::array rank = mx::astype(mx::arange(vocab), mx::float32);  // exact up to 2^24
  const mx::array most = Column(sampling, [&](const auto& one) { return Sorts(one) && one.top_k > 0 ? one.top_k : vocab; });
  const mx::array zero(0.0F);
  const mx::array kept = mx::where(mx::less(rank, most), sorted, zero);
  const mx::array before = mx::cumsum(kept, -1, /*reverse=*/false, /*inclusive=*/false);
  // Above 1 where it is off: a sum that is rounded to the whole early must not drop the rest.
  const mx::array share = Column(sampling, [](const auto& one) { return Sorts(one) && one.top_p < 1 ? one.top_p : 2.0F; });
  const mx::array enough = mx::multiply(share, mx::sum(kept, -1, true));
  return mx::put_along_axis(mx::zeros_like(weights), order, mx::where(mx::less(before, enough), kept, zero), -1);
}

// The token at `uniform` of the cumulative weights in order of ids; [rows, vocab] -> [rows].
mx::array Draw(const mx::array& weights, Sampling sampling) {
  const mx::array sums = mx::cumsum(weights, -1);
  const mx::array total = mx::slice(sums, {0, sums.shape(1) - 1}, sums.shape());
  const mx::array at =
      mx::multiply(total, Column(sampling, [](const auto& one) { return PhiloxUniform(one.seed, one.choice, one.position); }));
  // The last token of any weight where rounding lifts the draw to the whole; never one without, should a device's sums not stand still over
  // zeros.
  const mx::array reached = mx::logical_or(mx::greater(sums, at), mx::greater_equal(sums, total));
  const mx::array hit = mx::logical_and(reached, mx::greater(weights, mx::array(0.0F)));
  return mx::argmax(mx::astype(hit, mx::int32), -1);
}

}  // namespace

mx::array SampleRows(const mx::array& raw, Sampling sampling) {
  const mx::array lowest(-std::numeric_limits<float>::infinity());
  const mx::array logits = mx::where(mx::isnan(raw), lowest, raw);
  const mx::array top = mx::max(logits, -1, true);
  mx::array ids = mx::astype(mx::argmax(logits, -1), mx::int32);
  if (std::any_of(sampling.begin(), sampling.end(), Draws)) {
    const mx::array sharpness = Column(sampling, [](const auto& one) {
      return Draws(one) ? std::min(1.0F / one.temperature, std::numeric_limits<float>::max()) : 1.0F;
    });
    mx::array weights = mx::exp(mx::multiply(mx::subtract(logits, top), sharpness));  // 1 for the likeliest
    if (std::any_of(sampling.begin(), sampling.end(), Sorts)) weights = KeepLikeliest(logits, weights, sampling);
    const mx::array least = Column(sampling, [](const auto& one) { return Draws(one) ? one.min_p : 0.0F; });
    weights = mx::where(mx::less(weights, least), mx::array(0.0F), weights);
    const mx::array draws = mx::squeeze(mx::greater(Column(sampling, Draws), mx::array(0.0F)), 1);
    ids = mx::where(draws, mx::astype(Draw(weights, sampling), mx::int32), ids);
  }
  return mx::where(mx::squeeze(mx::isfinite(top), 1), ids, mx::array(kNoToken));
}

}  // namespace millrace::backend_mlx
