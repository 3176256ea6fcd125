// The ops of a step, one parallel section each.
#include <algorithm>
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "base/check.h"

namespace millrace::backend_cpu {
namespace {

uint32_t TotalStrips(const StackedWeight& weight) {
  uint32_t total = 0;
  for (const WeightSegment& segment : weight.segments) total += kernels::Strips(segment.matrix.rows);
  return total;
}

// Calls fn(segment, strips) for the parts of the segments that lie in `share` of all strips, counted through.
template <typename Fn>
void ForStrips(const StackedWeight& weight, kernels::IndexRange share, Fn fn) {
  size_t first = 0;
  for (const WeightSegment& segment : weight.segments) {
    const size_t strips = kernels::Strips(segment.matrix.rows);
    const size_t begin = std::clamp(share.begin, first, first + strips) - first;
    const size_t end = std::clamp(share.end, first, first + strips) - first;
    if (begin < end) fn(segment, kernels::IndexRange{begin, end});
    first += strips;
  }
}

}  // namespace

const StackedWeight& CpuBackend::Use(Weight weight) {
  const StackedWeight& stack = weights_.Get(weight.index);
  weight_bytes_ += stack.source_bytes;
  return stack;
}

CpuBackend::NormWeights CpuBackend::Use(const model::NormOp<Weight>& norm) {
  const kernels::PackedMatrix& matrix = Use(norm.weight).segments.front().matrix;
  CHECK(matrix.dtype == DType::kF32, "families demand float norms");
  return {.weight = reinterpret_cast<const float*>(matrix.data), .epsilon = norm.epsilon};
}

void CpuBackend::PrepareRow(const RowSource& source, uint32_t row, const NormWeights* norm, bool quantise,
                            const ReadyRows& out) const {
  const float* from = source.data + (source.index != nullptr ? source.index[row] : row) * source.stride;
  if (norm != nullptr) {
    float* to = out.floats + size_t{row} * source.cols;
    kernels_.rms_norm(from, norm->weight, source.cols, norm->epsilon, to);
    from = to;
  }
  if (quantise) kernels_.quantize_row(from, out.quant, row);
}

CpuBackend::ReadyRows CpuBackend::Prepare(const kernels::SectionContext& context, const RowSource& source,
                                          const NormWeights* norm, const StackedWeight& consumer) {
  // Few rows: every thread does all of them for itself, which is cheaper than dividing them and meeting at a barrier.
  const bool alone = source.rows <= kRedundantRows || context.threads() == 1;
  const bool own = source.rows <= kRedundantRows;
  const RowMemory& memory = own ? own_rows_[context.thread()] : shared_rows_;
  ReadyRows ready{.floats = memory.floats, .quant = {memory.codes, memory.scales, memory.sums, source.cols}, .rows = source.rows};
  const kernels::IndexRange rows = alone ? kernels::IndexRange{0, source.rows} : context.Share(source.rows);
  for (size_t row = rows.begin; row < rows.end; ++row) {
    PrepareRow(source, static_cast<uint32_t>(row), norm, consumer.quantised, ready);
  }
  if (norm == nullptr) ready.floats = const_cast<float*>(source.data);  // read only; dense, because only normed rows are picked
  if (!alone) context.Barrier();
  return ready;
}

void CpuBackend::Multiply(const kernels::PackedMatrix& matrix, kernels::IndexRange strips, const ReadyRows& rows,
                          const kernels::OutputRows& out) const {
  switch (matrix.dtype) {
    case DType::kQ4_1:
      return kernels_.matmul_q4_1(matrix, strips, rows.quant, rows.rows, out);
    case DType::kQ8_0:
      return kernels_.matmul_q8_0(matrix, strips, rows.quant, rows.rows, out);
    default:
      return kernels_.matmul_f32(matrix, strips, rows.floats, rows.rows, out);
  }
}

CpuBackend::Act CpuBackend::Embed(Weight table) {
  const kernels::PackedMatrix& matrix = weights_.Get(table.index).segments.front().matrix;
  const uint32_t hidden = config_.hidden;
  pool_.Run("embed", [&](const kernels::SectionContext& context) {
    const kernels::IndexRange rows = context.Share(batch_.tokens.size());
    for (size_t row = rows.begin; row < rows.end; ++row) {
      kernels::DequantizePackedRow(matrix, static_cast<uint32_t>(batch_.tokens[row]), x_ + row * hidden);
    }
  });
  return {.data = x_, .width = hidden, .stride = hidden};
}

CpuBackend::Act CpuBackend::AttnIn(Act x, const model::AttnInOp<Weight>& op) {
  const NormWeights norm = Use(op.norm);
  const StackedWeight& weight = Use(op.qkv);
  const model::LayerConfig& shape = config_.layers[op.layer];
  const auto tokens = static_cast<uint32_t>(batch_.tokens.size());
  const RowSource source{.data = x.data, .stride = x.stride, .index = nullptr, .rows = tokens, .cols = x.width};
  // Adjacent pairs lie in one strip, so a thread can rotate and store what it just computed; halves must wait for whole heads.
  const bool adjacent = config_.rope.style == model::RopeStyle::kAdjacentPairs;
  pool_.Run("attn_in", [&](const kernels::SectionContext& context) {
    const ReadyRows rows = Prepare(context, source, &norm, weight);
    ForStrips(weight, context.Share(TotalStrips(weight)), [&](const WeightSegment& segment, kernels::IndexRange strips) {
      Multiply(segment.matrix, strips, rows, {.data = qkv_ + segment.row_offset, .stride = max_qkv_, .add = false});
      if (!adjacent) return;
      const auto begin = static_cast<uint32_t>(strips.begin * kernels::kStripRows);
      const auto end = std::min(static_cast<uint32_t>(strips.end * kernels::kStripRows), segment.matrix.rows);
      FinishRows(op.layer, segment.row_offset + begin, segment.row_offset + end);
    });
    if (!adjacent) {
      context.Barrier();
      const kernels::IndexRange heads = context.Share(shape.heads + 2 * shape.kv_heads);
      FinishRows(op.layer, static_cast<uint32_t>(heads.begin) * shape.head_dim,
                 static_cast<uint32_t>(heads.end) * shape.head_dim);
    }
  });
  return {.data = qkv_, .width = shape.heads * shape.head_dim, .stride = max_qkv_};
}

// Rows [begin, end) of q, k, v are there for all tokens: rotates q and k, stores k and v.
void CpuBackend::FinishRows(uint32_t layer, uint32_t begin, uint32_t end) {
  const uint32_t head_dim = config_.layers[layer].head_dim;
  for (uint32_t token = 0; token < batch_.tokens.size(); ++token) {
    for (uint32_t at = begin; at < end;) {
      const uint32_t stop = std::min(end, (at / head_dim + 1) * head_dim);
      FinishPiece(layer, token, at, stop);
      at = stop;
    }
  }
}

// A piece of one head.
void CpuBackend::FinishPiece(uint32_t layer, uint32_t token, uint32_t begin, uint32_t end) {
  const model::LayerConfig& shape = config_.layers[layer];
  const uint32_t head = begin / shape.head_dim;
  const kernels::IndexRange dims{begin % shape.head_dim, begin % shape.head_dim + (end - begin)};
  float* piece = qkv_ + size_t{token} * max_qkv_ + begin;
  if (head >= shape.heads + shape.kv_heads) return StoreValue(layer, token, head - shape.heads - shape.kv_heads, dims, piece);
  const size_t rotated_end = std::min<size_t>(dims.end, config_.rope.dims);
  if (dims.begin < rotated_end) {
    const size_t at = size_t{positions_[token]} * (config_.rope.dims / 2) + dims.begin / 2;
    kernels_.rope(piece, {.cos = rope_cos_ + at,
                          .sin = rope_sin_ + at,
                          .dims = static_cast<uint32_t>(rotated_end - dims.begin),
                          .adjacent = config_.rope.style == model::RopeStyle::kAdjacentPairs});
  }
  if (head >= shape.heads) StoreKey(layer, token, head - shape.heads, dims, piece);
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
                  .q = q.data,
                  .q_stride = q.stride,
                  .out = attn_});
  return {.data = attn_, .width = q.width, .stride = q.width};
}

CpuBackend::Act CpuBackend::OutAdd(Act input, const model::OutAddOp<Weight>& op, Act residual) {
  const StackedWeight& weight = Use(op.weight);
  CHECK(input.stride == input.width, "attention and MLP give dense rows");
  const auto tokens = static_cast<uint32_t>(batch_.tokens.size());
  const RowSource source{.data = input.data, .stride = input.stride, .index = nullptr, .rows = tokens, .cols = input.width};
  pool_.Run("out_add", [&](const kernels::SectionContext& context) {
    const ReadyRows rows = Prepare(context, source, nullptr, weight);
    ForStrips(weight, context.Share(TotalStrips(weight)), [&](const WeightSegment& segment, kernels::IndexRange strips) {
      Multiply(segment.matrix, strips, rows,
               {.data = residual.data + segment.row_offset, .stride = residual.stride, .add = true});
    });
  });
  return residual;
}

CpuBackend::Act CpuBackend::MlpIn(Act x, const model::MlpInOp<Weight>& op) {
  const NormWeights norm = Use(op.norm);
  const StackedWeight& weight = Use(op.gate_up);
  CHECK(weight.segments.size() == 2 && weight.segments[0].matrix.rows == weight.segments[1].matrix.rows, "gate on top of up");
  const kernels::PackedMatrix& gate = weight.segments[0].matrix;
  const kernels::PackedMatrix& up = weight.segments[1].matrix;
  const auto tokens = static_cast<uint32_t>(batch_.tokens.size());
  const RowSource source{.data = x.data, .stride = x.stride, .index = nullptr, .rows = tokens, .cols = x.width};
  pool_.Run("mlp_in", [&](const kernels::SectionContext& context) {
    const ReadyRows rows = Prepare(context, source, &norm, weight);
    const kernels::IndexRange strips = context.Share(kernels::Strips(gate.rows));
    Multiply(gate, strips, rows, {.data = gate_, .stride = gate.rows, .add = false});
    Multiply(up, strips, rows, {.data = up_, .stride = gate.rows, .add = false});
    const size_t begin = strips.begin * kernels::kStripRows;
    const size_t end = std::min<size_t>(strips.end * kernels::kStripRows, gate.rows);
    for (size_t token = 0; token < tokens && begin < end; ++token) {
      const size_t at = token * gate.rows + begin;
      kernels_.silu_mul(gate_ + at, up_ + at, end - begin, gate_ + at);
    }
  });
  return {.data = gate_, .width = gate.rows, .stride = gate.rows};
}

void CpuBackend::Head(Act x, const model::HeadOp<Weight>& op) {
  const auto outputs = static_cast<uint32_t>(batch_.outputs.size());
  if (outputs == 0) return;
  const NormWeights norm = Use(op.norm);
  const StackedWeight& weight = Use(op.weight);
  const RowSource source{.data = x.data, .stride = x.stride, .index = output_tokens_, .rows = outputs, .cols = x.width};
  pool_.Run("head", [&](const kernels::SectionContext& context) {
    const ReadyRows rows = Prepare(context, source, &norm, weight);
    ForStrips(weight, context.Share(TotalStrips(weight)), [&](const WeightSegment& segment, kernels::IndexRange strips) {
      Multiply(segment.matrix, strips, rows, {.data = logits_ + segment.row_offset, .stride = config_.vocab, .add = false});
    });
  });
}

}  // namespace millrace::backend_cpu
