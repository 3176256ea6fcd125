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

// Strips are handed out in pairs, because the kernels take two at a time for many rows. A piece is some 16 KiB of weights for one
// row, less for many, so that it takes a few microseconds at least.
constexpr size_t kUnitStrips = 2;

kernels::SectionSize PiecesOf(size_t strips, size_t strip_bytes, uint32_t rows) {
  const size_t grain = 16384 / std::max<size_t>(1, kUnitStrips * strip_bytes) / std::max(1U, rows / 4);
  return {.items = (strips + kUnitStrips - 1) / kUnitStrips, .grain = std::max<size_t>(rows < 4 ? 1 : 2, grain)};
}

kernels::IndexRange StripsOf(kernels::IndexRange units, size_t strips) {
  return {units.begin * kUnitStrips, std::min(units.end * kUnitStrips, strips)};
}

// Asks for the first weights of a piece while the activations are made ready: memory answers after some hundred cycles, and each
// section begins cold.
void PrefetchStart(const WeightSegment& segment, size_t strip) {
  constexpr size_t kBytes = 2048;
  const std::byte* data = segment.matrix.data + strip * kernels::StripBytes(segment.matrix);
  for (size_t at = 0; at < kBytes; at += 64) __builtin_prefetch(data + at);
}

size_t StripBytes(const StackedWeight& weight) { return weight.source_bytes * kernels::kStripRows / weight.rows; }

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
  CHECK(matrix.form == kernels::PackedForm::kF32, "vectors are stored as floats");
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

CpuBackend::ReadyRows CpuBackend::RowsIn(const RowMemory& memory, const RowSource& source, const NormWeights* norm) const {
  // Without a norm the floats are read where they are; such sources are dense.
  float* floats = norm != nullptr ? memory.floats : const_cast<float*>(source.data);
  return {
      .floats = floats, .quant = {memory.codes, memory.scales, memory.sums, memory.minus_sums, source.cols}, .rows = source.rows};
}

// Many rows: divided, in a section of their own.
void CpuBackend::PrepareShared(const RowSource& source, const NormWeights* norm, const StackedWeight& consumer) {
  if (source.rows <= kRedundantRows || (norm == nullptr && !consumer.quantised)) return;
  const ReadyRows ready = RowsIn(shared_rows_, source, norm);
  kernels::ForEach(pool_, "prepare", {.items = source.rows, .grain = 4}, [&](uint32_t, size_t row) {
    PrepareRow(source, static_cast<uint32_t>(row), norm, consumer.quantised, ready);
  });
}

// Few rows: every thread prepares all of them for itself, which is cheaper than a section more.
CpuBackend::ReadyRows CpuBackend::Prepare(uint32_t thread, const RowSource& source, const NormWeights* norm,
                                          const StackedWeight& consumer) const {
  if (source.rows > kRedundantRows) return RowsIn(shared_rows_, source, norm);
  const ReadyRows ready = RowsIn(own_rows_[thread], source, norm);
  for (uint32_t row = 0; row < source.rows; ++row) PrepareRow(source, row, norm, consumer.quantised, ready);
  return ready;
}

// finish(segment, strips) is called by the thread that has just computed these strips of all rows.
template <typename Fn>
void CpuBackend::RunProduct(const char* name, const Product& product, Fn&& finish) {
  PrepareShared(product.source, product.norm, product.weight);
  const size_t strips = TotalStrips(product.weight);
  pool_.Run(name, PiecesOf(strips, StripBytes(product.weight), product.source.rows), [&](kernels::SectionContext& context) {
    ForStrips(product.weight, StripsOf(context.range(), strips),
              [](const WeightSegment& segment, kernels::IndexRange part) { PrefetchStart(segment, part.begin); });
    const ReadyRows rows = Prepare(context.thread(), product.source, product.norm, product.weight);
    do {
      ForStrips(product.weight, StripsOf(context.range(), strips), [&](const WeightSegment& segment, kernels::IndexRange part) {
        kernels::OutputRows out = product.out;
        out.data += segment.row_offset;
        Multiply(segment.matrix, part, rows, out);
        finish(segment, part);
      });
    } while (context.Next());
  });
}

void CpuBackend::Multiply(const kernels::PackedMatrix& matrix, kernels::IndexRange strips, const ReadyRows& rows,
                          const kernels::OutputRows& out) const {
  kernels_.MatmulOf(matrix.form)(matrix, strips, {rows.floats, rows.quant}, rows.rows, out);
}

CpuBackend::Act CpuBackend::Embed(Weight table, float) {
  const kernels::PackedMatrix& matrix = weights_.Get(table.index).segments.front().matrix;
  const uint32_t hidden = config_.hidden;
  kernels::ForEach(pool_, "embed", {.items = batch_.tokens.size(), .grain = 4}, [&](uint32_t, size_t row) {
    kernels::DequantizePackedRow(matrix, static_cast<uint32_t>(batch_.tokens[row]), x_ + row * hidden);
  });
  return {.data = x_, .width = hidden, .stride = hidden};
}

CpuBackend::RowSource CpuBackend::AllRows(const Act& act) const {
  return {.data = act.data,
          .stride = act.stride,
          .index = nullptr,
          .rows = static_cast<uint32_t>(batch_.tokens.size()),
          .cols = act.width};
}

CpuBackend::Act CpuBackend::AttnIn(Act x, const model::AttnInOp<Weight>& op) {
  const NormWeights norm = Use(*op.norm);
  const StackedWeight& weight = Use(op.qkv);
  const model::LayerConfig& shape = config_.layers[op.layer];
  // Adjacent pairs lie in one strip, so a thread can rotate and store what it just computed; halves must wait for whole heads.
  const bool adjacent = config_.ropes[0].style == model::RopeStyle::kAdjacentPairs;
  const Product product{
      .source = AllRows(x), .norm = &norm, .weight = weight, .out = {.data = qkv_, .stride = max_qkv_, .add = false}};
  RunProduct("attn_in", product, [&](const WeightSegment& segment, kernels::IndexRange strips) {
    if (!adjacent) return;
    const auto begin = static_cast<uint32_t>(strips.begin * kernels::kStripRows);
    const auto end = std::min(static_cast<uint32_t>(strips.end * kernels::kStripRows), segment.matrix.rows);
    FinishRows(op.layer, segment.row_offset + begin, segment.row_offset + end);
  });
  if (!adjacent) {
    const size_t heads = shape.heads + 2 * shape.kv_heads;
    kernels::ForEach(pool_, "rope", {.items = heads, .grain = 1}, [&](uint32_t, size_t head) {
      const auto begin = static_cast<uint32_t>(head) * shape.head_dim;
      FinishRows(op.layer, begin, begin + shape.head_dim);
    });
  }
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
  const size_t rotated_end = std::min<size_t>(dims.end, config_.ropes[0].dims());
  if (dims.begin < rotated_end) {
    const size_t at = size_t{positions_[token]} * (config_.ropes[0].dims() / 2) + dims.begin / 2;
    kernels_.rope(piece, {.cos = rope_cos_ + at,
                          .sin = rope_sin_ + at,
                          .dims = static_cast<uint32_t>(rotated_end - dims.begin),
                          .adjacent = config_.ropes[0].style == model::RopeStyle::kAdjacentPairs});
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
  CHECK(input.stride == input.width, "attention and MLP give dense rows");
  const Product product{.source = AllRows(input),
                        .norm = nullptr,
                        .weight = Use(op.weight),
                        .out = {.data = residual.data, .stride = residual.stride, .add = true}};
  RunProduct("out_add", product, [](const WeightSegment&, kernels::IndexRange) {});
  return residual;
}

CpuBackend::Act CpuBackend::MlpIn(Act x, const model::MlpInOp<Weight>& op) {
  const NormWeights norm = Use(*op.norm);
  const StackedWeight& weight = Use(op.gate_up);
  CHECK(weight.segments.size() == 2 && weight.segments[0].matrix.rows == weight.segments[1].matrix.rows, "gate on top of up");
  const kernels::PackedMatrix& gate = weight.segments[0].matrix;
  const kernels::PackedMatrix& up = weight.segments[1].matrix;
  const RowSource source = AllRows(x);
  PrepareShared(source, &norm, weight);
  // The same strips of both at once: gate meets up while they are in the cache.
  const size_t all_strips = kernels::Strips(gate.rows);
  pool_.Run("mlp_in", PiecesOf(all_strips, 2 * StripBytes(weight), source.rows), [&](kernels::SectionContext& context) {
    PrefetchStart(weight.segments[0], StripsOf(context.range(), all_strips).begin);
    const ReadyRows rows = Prepare(context.thread(), source, &norm, weight);
    do {
      const kernels::IndexRange strips = StripsOf(context.range(), all_strips);
      Multiply(gate, strips, rows, {.data = gate_, .stride = gate.rows, .add = false});
      Multiply(up, strips, rows, {.data = up_, .stride = gate.rows, .add = false});
      const size_t begin = strips.begin * kernels::kStripRows;
      const size_t end = std::min<size_t>(strips.end * kernels::kStripRows, gate.rows);
      for (size_t token = 0; token < source.rows; ++token) {
        const size_t at = token * gate.rows + begin;
        kernels_.silu_mul(gate_ + at, up_ + at, end - begin, gate_ + at);
      }
    } while (context.Next());
  });
  return {.data = gate_, .width = gate.rows, .stride = gate.rows};
}

CpuBackend::Act CpuBackend::Experts(Act x, const model::ExpertsOp<Weight>&) { return x; }

void CpuBackend::Head(Act x, const model::HeadOp<Weight>& op) {
  const auto outputs = static_cast<uint32_t>(batch_.outputs.size());
  if (outputs == 0) return;
  const NormWeights norm = Use(op.norm);
  const RowSource source{.data = x.data, .stride = x.stride, .index = output_tokens_, .rows = outputs, .cols = x.width};
  const Product product{
      .source = source, .norm = &norm, .weight = Use(op.weight), .out = {.data = logits_, .stride = config_.vocab, .add = false}};
  RunProduct("head", product, [](const WeightSegment&, kernels::IndexRange) {});
}

}  // namespace millrace::backend_cpu
