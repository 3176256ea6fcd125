// The ops of the concept, by composition. Arrays are [tokens, width] in f32 between them.
#include <mlx/fast.h>
#include <mlx/ops.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "backend/mlx/attention.h"
#include "backend/mlx/impl.h"
#include "backend/mlx/layer_math.h"

namespace millrace::backend_mlx {
namespace {

namespace mx = mlx::core;

int Int(uint32_t value) { return static_cast<int>(value); }

mx::array Rows(const mx::array& x, uint32_t begin, uint32_t count) {
  mx::Shape start(x.ndim(), 0), stop = x.shape();
  start[0] = Int(begin);
  stop[0] = Int(begin + count);
  return mx::slice(x, start, stop);
}

mx::array Columns(const mx::array& x, uint32_t begin, uint32_t count) {
  return mx::slice(x, {0, Int(begin)}, {x.shape(0), Int(begin + count)});
}

}  // namespace

const StoredWeight& MlxBackend::Impl::Use(Weight weight) {
  const StoredWeight& stored = weights_.Get(weight.index);
  step().weight_bytes += stored.source_bytes;
  return stored;
}

mx::array MlxBackend::Impl::Normalise(const mx::array& x, const std::optional<model::NormOp<Weight>>& norm) {
  if (!norm) return x;
  const mx::array& weight = *Use(norm->weight).vector;
  if (norm->kind == model::NormKind::kRms) return mx::fast::rms_norm(x, weight, norm->epsilon);
  const std::optional<mx::array> bias = norm->bias ? Use(*norm->bias).vector : std::nullopt;
  return mx::fast::layer_norm(x, weight, bias, norm->epsilon);
}

mx::array MlxBackend::Impl::Biased(const mx::array& x, const std::optional<Weight>& bias) {
  return bias ? mx::add(x, *Use(*bias).vector) : x;
}

// x [tokens, heads, head_dim]
mx::array MlxBackend::Impl::NormaliseHeads(const mx::array& x, model::QkNorm kind, Weight weight, float epsilon) {
  const mx::array& factors = *Use(weight).vector;
  if (kind == model::QkNorm::kPerHead) return mx::fast::rms_norm(x, factors, epsilon);
  return mx::reshape(mx::fast::rms_norm(mx::flatten(x, 1, 2), factors, epsilon), x.shape());
}

mx::array MlxBackend::Impl::RotateHeads(const mx::array& x, int32_t rope) {
  if (rope < 0) return x;
  const auto index = static_cast<size_t>(rope);
  if (config_.ropes[index].frequencies.empty()) return x;
  auto at = step().rope_rows.find(rope);
  if (at == step().rope_rows.end()) at = step().rope_rows.emplace(rope, RowsOf(ropes_[index], *step().positions)).first;
  return Rotate(x, config_.ropes[index].style, at->second);
}

// Keys and values of every span, [tokens, kv_heads, head_dim], to its sequence.
void MlxBackend::Impl::Store(uint32_t layer, const mx::array& keys, const mx::array& values) {
  const mx::array k = mx::transpose(keys, {1, 0, 2}), v = mx::transpose(values, {1, 0, 2});
  for (const model::SpanOfTokens& span : step().spans) {
    const mx::Shape start{0, Int(span.token_begin), 0};
    const mx::Shape stop{k.shape(0), Int(span.token_begin + span.token_count), k.shape(2)};
    kv_.Append(span.slot, layer, span.first_position, mx::slice(k, start, stop), mx::slice(v, start, stop));
  }
}

mx::array MlxBackend::Impl::Embed(Weight table, float scale) {
  const mx::array rows = TakeRows(weights_.Get(table.index), *step().ids);
  return scale == 1 ? rows : mx::multiply(rows, mx::array(scale));
}

mx::array MlxBackend::Impl::AttnIn(Act x, const model::AttnInOp<Weight>& op) {
  const model::LayerConfig& shape = config_.layers[op.layer];
  const uint32_t queries = shape.heads * shape.head_dim, keys = shape.kv_heads * shape.head_dim;
  const mx::array qkv = Biased(Multiply(Normalise(At(x), op.norm), Use(op.qkv)), op.bias);
  const auto heads = [&](uint32_t begin, uint32_t count) {
    return mx::reshape(Columns(qkv, begin, count * shape.head_dim), {qkv.shape(0), Int(count), Int(shape.head_dim)});
  };
  mx::array q = heads(0, shape.heads), k = heads(queries, shape.kv_heads);
  if (op.qk_norm) {
    q = NormaliseHeads(q, op.qk_norm->kind, op.qk_norm->query, op.qk_norm->epsilon);
    k = NormaliseHeads(k, op.qk_norm->kind, op.qk_norm->key, op.qk_norm->epsilon);
  }
  Store(op.layer, RotateHeads(k, shape.rope), heads(queries + keys, shape.kv_heads));
  return mx::flatten(RotateHeads(q, shape.rope), 1, 2);
}

void MlxBackend::Impl::CountKv(const model::AttendOp& op) {
  const model::LayerConfig& shape = config_.layers[op.layer];
  const uint64_t bytes = uint64_t{2} * shape.kv_heads * shape.head_dim * model::KvBytes(options_.kv_type);
  for (const model::SpanOfTokens& span : step().spans) {
    const uint32_t end = span.first_position + span.token_count;
    step().kv_bytes += bytes * (end - FirstVisible(span.first_position, op.window));
  }
}

mx::array MlxBackend::Impl::Attend(Act q, const model::AttendOp& op) {
  const model::LayerConfig& shape = config_.layers[op.layer];
  CountKv(op);
  const mx::array queries = mx::reshape(mx::astype(At(q), compute_), {At(q).shape(0), Int(shape.heads), Int(shape.head_dim)});
  std::vector<mx::array> rows;
  for (const model::SpanOfTokens& span : step().spans) {
    const uint32_t end = span.first_position + span.token_count;
    const AttentionSpan part{.first_position = span.first_position,
                             .first_key = FirstVisible(span.first_position, op.window),
                             .window = op.window,
                             .scale = op.scale,
                             .softcap = op.softcap};
    rows.push_back(AttendSpan(Rows(queries, span.token_begin, span.token_count),
                              kv_.Keys(span.slot, op.layer, part.first_key, end),
                              kv_.Values(span.slot, op.layer, part.first_key, end), part));
  }
  return mx::astype(rows.size() == 1 ? rows[0] : mx::concatenate(std::move(rows), 0), mx::float32);
}

mx::array MlxBackend::Impl::AddTo(const mx::array& residual, const mx::array& y,
                                  const std::optional<model::NormOp<Weight>>& post_norm, float scale) {
  const mx::array done = Normalise(y, post_norm);
  return mx::add(residual, scale == 1 ? done : mx::multiply(done, mx::array(scale)));
}

mx::array MlxBackend::Impl::OutAdd(Act input, const model::OutAddOp<Weight>& op, Act residual) {
  return AddTo(At(residual), Biased(Multiply(At(input), Use(op.weight)), op.bias), op.post_norm, op.scale);
}

mx::array MlxBackend::Impl::MlpIn(Act x, const model::MlpInOp<Weight>& op) {
  const mx::array y = Multiply(Normalise(At(x), op.norm), Use(op.gate_up));
  return op.gated ? Gated(op.activation, y) : Activate(op.activation, Biased(y, op.bias));
}

mx::array MlxBackend::Impl::Experts(Act x, const model::ExpertsOp<Weight>& op) {
  const mx::array n = Normalise(At(x), op.norm);
  const ExpertWeights experts{weights_.Get(op.gate_up.index), weights_.Get(op.down.index)};
  // Which experts are read is known to the device only: as many different ones as ActiveBytes expects.
  const double missed = std::pow(1.0 - static_cast<double>(op.experts.used) / op.experts.count, n.shape(0));
  const auto bytes = static_cast<double>(experts.gate_up.source_bytes + experts.down.source_bytes);
  step().weight_bytes += static_cast<uint64_t>(bytes * (1.0 - missed));
  const mx::array y = MixExperts(n, Multiply(n, Use(op.router)), experts, op.experts, op.activation);
  return AddTo(At(x), y, op.post_norm, op.scale);
}

void MlxBackend::Impl::Head(Act x, const model::HeadOp<Weight>& op) {
  Step& now = step();
  if (!now.failure.ok()) return;
  now.failure = Guard([&] {
    if (!now.outputs.empty()) {
      std::vector<int> which;
      for (const model::OutputRow& output : now.outputs) which.push_back(Int(output.token_index));
      const mx::array rows = mx::take(At(x), mx::array(which.data(), {static_cast<int>(which.size())}, mx::int32), 0);
      const mx::array logits = Multiply(Normalise(rows, op.norm), Use(op.weight));
      TakeOutputs(Softcap(op.scale == 1 ? logits : mx::multiply(logits, mx::array(op.scale)), op.softcap));
    }
    StartDevice();
  });
}

}  // namespace millrace::backend_mlx
