// The products that ops consist of, and the ops at both ends of a step and between the parts of a layer. AttnIn and Attend are in
// attention_ops.cc, MlpIn in mlp_ops.cc, Experts in expert_ops.cc.
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/run_product.h"
#include "base/check.h"

namespace millrace::backend_cpu {

const StackedWeight& CpuBackend::Use(Weight weight) {
  const StackedWeight& stack = weights_.Get(weight.index);
  weight_bytes_ += stack.source_bytes;
  return stack;
}

const float* CpuBackend::UseVector(Weight weight) {
  const StoredVector& vector = vectors_.Get(weight.index);
  weight_bytes_ += vector.source_bytes;
  return vector.values.data();
}

CpuBackend::NormWeights CpuBackend::Use(const model::NormOp<Weight>& norm) {
  return {.kind = norm.kind,
          .weight = UseVector(norm.weight),
          .bias = norm.bias ? UseVector(*norm.bias) : nullptr,
          .epsilon = norm.epsilon};
}

std::optional<CpuBackend::NormWeights> CpuBackend::Use(const std::optional<model::NormOp<Weight>>& norm) {
  return norm ? std::optional(Use(*norm)) : std::nullopt;
}

void CpuBackend::Normalise(const NormWeights& norm, const float* from, uint32_t count, float* to) const {
  if (norm.kind == model::NormKind::kLayer) {
    kernels_.layer_norm(from, norm.weight, norm.bias, count, norm.epsilon, to);
  } else {
    kernels_.rms_norm(from, norm.weight, count, norm.epsilon, to);
  }
}

void CpuBackend::PrepareRow(const RowSource& source, uint32_t row, const NormWeights* norm, bool quantise,
                            const ReadyRows& out) const {
  const float* from = source.data + (source.index != nullptr ? source.index[row] : row) * source.stride;
  float* to = out.floats + size_t{row} * source.cols;
  if (norm != nullptr) {
    Normalise(*norm, from, source.cols, to);
    from = to;
  } else if (source.index != nullptr) {
    std::memcpy(to, from, source.cols * sizeof(float));
  }
  if (quantise) kernels_.quantize_row(from, out.quant, row);
}

CpuBackend::ReadyRows CpuBackend::RowsIn(const RowMemory& memory, const RowSource& source, const NormWeights* norm) const {
  // What is neither normalised nor picked is read where it is; such sources are dense.
  const bool copied = norm != nullptr || source.index != nullptr;
  float* floats = copied ? memory.floats : const_cast<float*>(source.data);
  return {
      .floats = floats, .quant = {memory.codes, memory.scales, memory.sums, memory.minus_sums, source.cols}, .rows = source.rows};
}

// Many rows: divided, in a section of their own.
void CpuBackend::PrepareShared(const RowSource& source, const NormWeights* norm, const StackedWeight& consumer) {
  if (source.rows <= kRedundantRows || (norm == nullptr && source.index == nullptr && !consumer.quantised)) return;
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

void CpuBackend::Multiply(const kernels::PackedMatrix& matrix, kernels::IndexRange strips, const ReadyRows& rows,
                          const kernels::OutputRows& out) const {
  kernels_.MatmulOf(matrix.form)(matrix, strips, {rows.floats, rows.quant}, rows.rows, out);
}

CpuBackend::Act CpuBackend::Embed(Weight table, float scale) {
  const kernels::PackedMatrix& matrix = weights_.Get(table.index).segments.front().matrix;
  const uint32_t hidden = config_.hidden;
  kernels::ForEach(pool_, "embed", {.items = batch_.tokens.size(), .grain = 4}, [&](uint32_t, size_t row) {
    float* x = x_ + row * hidden;
    kernels::DequantizePackedRow(matrix, static_cast<uint32_t>(batch_.tokens[row]), x);
    for (uint32_t i = 0; scale != 1 && i < hidden; ++i) x[i] *= scale;
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

CpuBackend::Act CpuBackend::OutAdd(Act input, const model::OutAddOp<Weight>& op, Act residual) {
  CHECK(input.stride == input.width, "attention and MLP give dense rows");
  const bool plain = !op.bias && !op.post_norm && op.scale == 1;
  // Everything but a plain sum is made ready in the rows of q, k and v, which nobody needs any more.
  const Product product{
      .source = AllRows(input),
      .norm = nullptr,
      .weight = Use(op.weight),
      .out = {.data = plain ? residual.data : qkv_, .stride = plain ? residual.stride : max_qkv_, .add = plain}};
  const float* bias = op.bias ? UseVector(*op.bias) : nullptr;
  const auto norm = Use(op.post_norm);
  RunProduct("out_add", product, [&](const WeightSegment& segment, kernels::IndexRange strips) {
    if (plain) return;
    const kernels::IndexRange rows = RowsOf(strips, segment.matrix);
    for (size_t token = 0; token < product.source.rows; ++token) {
      const size_t at = segment.row_offset + rows.begin;
      float* sum = qkv_ + token * max_qkv_ + at;
      float* to = residual.data + token * residual.stride + at;
      for (size_t i = 0; bias != nullptr && i < rows.end - rows.begin; ++i) sum[i] += bias[at + i];
      for (size_t i = 0; !norm && i < rows.end - rows.begin; ++i) to[i] += op.scale * sum[i];
    }
  });
  if (norm) AddNormalised(*norm, op.scale, residual);
  return residual;
}

// residual += scale * norm(the rows of qkv_).
void CpuBackend::AddNormalised(const NormWeights& norm, float scale, Act residual) {
  kernels::ForEach(pool_, "post_norm", {.items = batch_.tokens.size(), .grain = 4}, [&](uint32_t, size_t token) {
    float* row = qkv_ + token * max_qkv_;
    float* to = residual.data + token * residual.stride;
    Normalise(norm, row, residual.width, row);
    for (uint32_t i = 0; i < residual.width; ++i) to[i] += scale * row[i];
  });
}

void CpuBackend::Head(Act x, const model::HeadOp<Weight>& op) {
  const auto outputs = static_cast<uint32_t>(batch_.outputs.size());
  if (outputs == 0) return;
  const NormWeights norm = Use(op.norm);
  const RowSource source{.data = x.data, .stride = x.stride, .index = output_tokens_, .rows = outputs, .cols = x.width};
  const Product product{
      .source = source, .norm = &norm, .weight = Use(op.weight), .out = {.data = logits_, .stride = config_.vocab, .add = false}};
  RunProduct("head", product, [&](const WeightSegment& segment, kernels::IndexRange strips) {
    if (op.scale == 1 && op.softcap == 0) return;
    const kernels::IndexRange rows = RowsOf(strips, segment.matrix);
    for (size_t output = 0; output < outputs; ++output) {
      float* logits = logits_ + output * config_.vocab + segment.row_offset + rows.begin;
      const size_t count = rows.end - rows.begin;
      if (op.softcap != 0) {
        kernels_.softcap(logits, count, op.scale, op.softcap, logits);
      } else {
        for (size_t i = 0; i < count; ++i) logits[i] *= op.scale;
      }
    }
  });
}

}  // namespace millrace::backend_cpu
