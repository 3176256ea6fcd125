// AttnIn and Attend.
#include <algorithm>
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/run_product.h"

namespace millrace::backend_cpu {
namespace {

// With fewer whole heads than this per thread, pieces are smaller and heads are finished in a section of their own.
constexpr uint32_t kHeadsPerThread = 4;

void AddTo(float* x, const float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) x[i] += y[i];
}

}  // namespace

CpuBackend::QkvFinish CpuBackend::FinishOf(const model::AttnInOp<Weight>& op) {
  const int32_t rope = config_.layers[op.layer].rope;
  QkvFinish finish{.layer = op.layer, .rope = rope < 0 ? nullptr : &ropes_[static_cast<size_t>(rope)]};
  if (op.bias) finish.bias = UseVector(*op.bias);
  if (op.qk_norm) {
    finish.query_norm = UseVector(op.qk_norm->query);
    finish.key_norm = UseVector(op.qk_norm->key);
    finish.epsilon = op.qk_norm->epsilon;
  }
  return finish;
}

// What comes after the product is done by the thread that has just computed the rows, if it has all that it needs: adjacent pairs lie in
// one strip, halves and norms of heads want pieces of whole heads. Norms over all heads have to wait for the whole row.
CpuBackend::Act CpuBackend::AttnIn(Act x, const model::AttnInOp<Weight>& op) {
  const auto norm = Use(op.norm);
  const StackedWeight& weight = Use(op.qkv);
  const QkvFinish finish = FinishOf(op);
  const model::LayerConfig& shape = config_.layers[op.layer];
  const uint32_t heads = shape.heads + 2 * shape.kv_heads;
  const bool full_width = op.qk_norm && op.qk_norm->kind == model::QkNorm::kFullWidth;
  const bool whole_heads = op.qk_norm || (finish.rope != nullptr && !finish.rope->adjacent);
  const bool large_pieces = whole_heads && heads >= kHeadsPerThread * pool_.threads();
  const bool at_once = !full_width && (!whole_heads || large_pieces);
  const Product product{.source = AllRows(x),
                        .norm = norm ? &*norm : nullptr,
                        .weight = weight,
                        .out = {.data = qkv_, .stride = max_qkv_, .add = false},
                        .unit_strips = at_once && whole_heads ? shape.head_dim / kernels::kStripRows : kUnitStrips};
  RunProduct("attn_in", product, [&](const WeightSegment& segment, kernels::IndexRange strips) {
    if (!at_once) return;
    const kernels::IndexRange rows = RowsOf(strips, segment.matrix);
    FinishRows(finish, segment.row_offset + static_cast<uint32_t>(rows.begin),
               segment.row_offset + static_cast<uint32_t>(rows.end));
  });
  if (full_width) {
    kernels::ForEach(pool_, "qk_norm", {.items = batch_.tokens.size(), .grain = 1},
                     [&](uint32_t, size_t token) { FinishToken(finish, static_cast<uint32_t>(token)); });
  } else if (!at_once) {
    kernels::ForEach(pool_, "rope", {.items = heads, .grain = 1}, [&](uint32_t, size_t head) {
      const auto begin = static_cast<uint32_t>(head) * shape.head_dim;
      FinishRows(finish, begin, begin + shape.head_dim);
    });
  }
  return {.data = qkv_, .width = shape.heads * shape.head_dim, .stride = max_qkv_};
}

// All of q, k, v is there for one token: norms over the full width, then everything else.
void CpuBackend::FinishToken(QkvFinish finish, uint32_t token) {
  const model::LayerConfig& shape = config_.layers[finish.layer];
  const uint32_t q = shape.heads * shape.head_dim;
  const uint32_t kv = shape.kv_heads * shape.head_dim;
  float* row = qkv_ + size_t{token} * max_qkv_;
  if (finish.bias != nullptr) AddTo(row, finish.bias, q + 2 * kv);
  kernels_.rms_norm(row, finish.query_norm, q, finish.epsilon, row);
  kernels_.rms_norm(row + q, finish.key_norm, kv, finish.epsilon, row + q);
  finish.bias = finish.query_norm = finish.key_norm = nullptr;
  for (uint32_t at = 0; at < q + 2 * kv; at += shape.head_dim) FinishPiece(finish, token, at, at + shape.head_dim);
}

// Rows [begin, end) of q, k, v are there for all tokens.
void CpuBackend::FinishRows(const QkvFinish& finish, uint32_t begin, uint32_t end) {
  const uint32_t head_dim = config_.layers[finish.layer].head_dim;
  for (uint32_t token = 0; token < batch_.tokens.size(); ++token) {
    for (uint32_t at = begin; at < end;) {
      const uint32_t stop = std::min(end, (at / head_dim + 1) * head_dim);
      FinishPiece(finish, token, at, stop);
      at = stop;
    }
  }
}

// A piece of one head; all of it where it is normalised or rotated by halves. Bias, norm and rope, then k and v are stored.
void CpuBackend::FinishPiece(const QkvFinish& finish, uint32_t token, uint32_t begin, uint32_t end) {
  const model::LayerConfig& shape = config_.layers[finish.layer];
  const uint32_t head = begin / shape.head_dim;
  const kernels::IndexRange dims{begin % shape.head_dim, begin % shape.head_dim + (end - begin)};
  float* piece = qkv_ + size_t{token} * max_qkv_ + begin;
  if (finish.bias != nullptr) AddTo(piece, finish.bias + begin, end - begin);
  if (head >= shape.heads + shape.kv_heads) {
    return StoreValue(finish.layer, token, head - shape.heads - shape.kv_heads, dims, piece);
  }
  const float* norm = head < shape.heads ? finish.query_norm : finish.key_norm;
  if (norm != nullptr) kernels_.rms_norm(piece, norm, shape.head_dim, finish.epsilon, piece);
  if (finish.rope != nullptr) {
    const RopeTable& rope = *finish.rope;
    const size_t rotated_end = std::min<size_t>(dims.end, size_t{2} * rope.pairs);
    if (dims.begin < rotated_end) {
      const size_t at = size_t{positions_[token]} * rope.pairs + dims.begin / 2;
      kernels_.rope(piece, {.cos = rope.cos + at,
                            .sin = rope.sin + at,
                            .dims = static_cast<uint32_t>(rotated_end - dims.begin),
                            .adjacent = rope.adjacent});
    }
  }
  if (head >= shape.heads) StoreKey(finish.layer, token, head - shape.heads, dims, piece);
}

void CpuBackend::StoreKey(uint32_t layer, uint32_t token, uint32_t kv_head, kernels::IndexRange dims, const float* key) {
  constexpr uint32_t kLanes = 16;
  const uint32_t in_block = positions_[token] % kBlockTokens;
  const size_t first = (size_t{in_block} / kLanes * config_.layers[layer].head_dim + dims.begin) * kLanes + in_block % kLanes;
  const auto scatter = [&]<typename T>(const T* from) {
    T* to = kv_.Keys<T>(slots_[token], positions_[token] / kBlockTokens, layer, kv_head) + first;
    for (size_t i = 0; i < dims.end - dims.begin; ++i) to[i * kLanes] = from[i];
  };
  if (options_.kv_type == model::KvType::kF32) return scatter(key);
  uint16_t halves[kMaxHeadDim];
  kernels_.to_half(key, dims.end - dims.begin, halves);
  scatter(static_cast<const uint16_t*>(halves));
}

void CpuBackend::StoreValue(uint32_t layer, uint32_t token, uint32_t kv_head, kernels::IndexRange dims, const float* value) {
  const uint32_t block = positions_[token] / kBlockTokens;
  const size_t at = size_t{positions_[token]} % kBlockTokens * config_.layers[layer].head_dim + dims.begin;
  const size_t count = dims.end - dims.begin;
  if (options_.kv_type == model::KvType::kF32) {
    std::memcpy(kv_.Values<float>(slots_[token], block, layer, kv_head) + at, value, count * sizeof(float));
  } else {
    kernels_.to_half(value, count, kv_.Values<uint16_t>(slots_[token], block, layer, kv_head) + at);
  }
}

CpuBackend::Act CpuBackend::Attend(Act q, const model::AttendOp& op) {
  const model::LayerConfig& shape = config_.layers[op.layer];
  attention_.Run(pool_, kernels_, kv_,
                 {.spans = batch_.spans,
                  .layer = op.layer,
                  .shape = shape,
                  .scale = op.scale,
                  .window = op.window,
                  .softcap = op.softcap,
                  .q = q.data,
                  .q_stride = q.stride,
                  .out = attn_});
  return {.data = attn_, .width = q.width, .stride = q.width};
}

}  // namespace millrace::backend_cpu
