#include "backend/mlx/attention.h"

#include <mlx/fast.h>
#include <mlx/ops.h>

#include <limits>
#include <optional>
#include <vector>

#include "backend/mlx/layer_math.h"
#include "base/math.h"

namespace millrace::backend_mlx {
namespace {

namespace mx = mlx::core;

// The last dimension from `begin` to `end` in steps.
mx::array Part(const mx::array& x, int begin, int end, int step = 1) {
  mx::Shape start(x.ndim(), 0), stop = x.shape(), steps(x.ndim(), 1);
  start.back() = begin;
  stop.back() = end;
  steps.back() = step;
  return mx::slice(x, start, stop, steps);
}

// True where a query may see a key: [tokens, positions].
mx::array VisibleMask(int tokens, int positions, const AttentionSpan& span) {
  const int first_query = static_cast<int>(span.first_position - span.first_key);
  const mx::array query = mx::expand_dims(mx::arange(first_query, first_query + tokens), 1);
  const mx::array key = mx::expand_dims(mx::arange(positions), 0);
  const mx::array past = mx::less_equal(key, query);
  if (span.window == 0) return past;
  return mx::logical_and(past, mx::greater(mx::add(key, mx::array(static_cast<int>(span.window))), query));
}

// What the fused op does not offer: scores [kv_heads, heads per kv head, tokens, positions] capped before the mask.
mx::array AttendCapped(const mx::array& q, const mx::array& k, const mx::array& v, const std::optional<mx::array>& mask,
                       const AttentionSpan& span) {
  const int kv_heads = k.shape(1), group = q.shape(1) / kv_heads, tokens = q.shape(2);
  const mx::array grouped = mx::reshape(mx::multiply(q, mx::array(span.scale, q.dtype())), {kv_heads, group, tokens, q.shape(3)});
  const mx::array keys = mx::reshape(k, {kv_heads, 1, k.shape(2), k.shape(3)});
  mx::array scores = Softcap(mx::astype(mx::matmul(grouped, mx::transpose(keys, {0, 1, 3, 2})), mx::float32), span.softcap);
  if (mask) scores = mx::where(*mask, scores, mx::array(-std::numeric_limits<float>::infinity()));
  const mx::array shares = mx::astype(mx::softmax(scores, -1, /*precise=*/true), v.dtype());
  return mx::reshape(mx::matmul(shares, mx::reshape(v, {kv_heads, 1, v.shape(2), v.shape(3)})),
                     {1, q.shape(1), tokens, v.shape(3)});
}

}  // namespace

RopeTable MakeRopeTable(const model::RopeConfig& rope, uint32_t context) {
  std::vector<float> cosines, sines;
  const double magnitude = static_cast<double>(rope.magnitude);
  for (uint32_t position = 0; position < context; ++position) {
    for (const double frequency : rope.frequencies) {
      const double angle = static_cast<double>(position) * frequency;
      cosines.push_back(static_cast<float>(Cos(angle) * magnitude));
      sines.push_back(static_cast<float>(Sin(angle) * magnitude));
    }
  }
  const mx::Shape shape{static_cast<int>(context), static_cast<int>(rope.frequencies.size())};
  return {mx::array(cosines.data(), shape, mx::float32), mx::array(sines.data(), shape, mx::float32)};
}

RopeTable RowsOf(const RopeTable& table, const mx::array& positions) {
  return {mx::expand_dims(mx::take(table.cosines, positions, 0), 1), mx::expand_dims(mx::take(table.sines, positions, 0), 1)};
}

mx::array Rotate(const mx::array& x, model::RopeStyle style, const RopeTable& rows) {
  const int pairs = rows.cosines.shape(-1), width = x.shape(-1);
  const bool halves = style == model::RopeStyle::kHalves;
  const mx::array a = halves ? Part(x, 0, pairs) : Part(x, 0, 2 * pairs, 2);
  const mx::array b = halves ? Part(x, pairs, 2 * pairs) : Part(x, 1, 2 * pairs, 2);
  const mx::array first = mx::subtract(mx::multiply(a, rows.cosines), mx::multiply(b, rows.sines));
  const mx::array second = mx::add(mx::multiply(b, rows.cosines), mx::multiply(a, rows.sines));
  std::vector<mx::array> parts;
  if (halves) {
    parts = {first, second};
  } else {
    parts = {mx::reshape(mx::stack({first, second}, -1), {x.shape(0), x.shape(1), 2 * pairs})};
  }
  if (2 * pairs < width) parts.push_back(Part(x, 2 * pairs, width));
  return parts.size() == 1 ? parts[0] : mx::concatenate(parts, -1);
}

uint32_t FirstVisible(uint32_t first_position, uint32_t window) {
  return window == 0 || first_position < window ? 0 : first_position + 1 - window;
}

mx::array AttendSpan(const mx::array& queries, const mx::array& keys, const mx::array& values, const AttentionSpan& span) {
  const int tokens = queries.shape(0), heads = queries.shape(1), head_dim = queries.shape(2), positions = keys.shape(1);
  const mx::array q = mx::expand_dims(mx::transpose(queries, {1, 0, 2}), 0);  // [1, heads, tokens, head_dim]
  const mx::array k = mx::expand_dims(mx::astype(keys, q.dtype()), 0);
  const mx::array v = mx::expand_dims(mx::astype(values, q.dtype()), 0);
  std::optional<mx::array> mask;  // one query sees everything that it was given
  if (tokens > 1) mask = VisibleMask(tokens, positions, span);
  const mx::array out = span.softcap != 0 ? AttendCapped(q, k, v, mask, span)
                        : mask            ? mx::fast::scaled_dot_product_attention(q, k, v, span.scale, "array", mask)
                                          : mx::fast::scaled_dot_product_attention(q, k, v, span.scale);
  return mx::reshape(mx::transpose(mx::squeeze(out, 0), {1, 0, 2}), {tokens, heads * head_dim});
}

}  // namespace millrace::backend_mlx
