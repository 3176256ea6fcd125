// MlpIn, and the activations.
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/strips.h"
#include "base/check.h"

namespace millrace::backend_cpu {

// rows = act(rows), or act(rows) * up, for `count` elements.
void CpuBackend::Activate(model::Activation activation, const float* up, size_t count, float* rows) const {
  const bool gelu = activation == model::Activation::kGeluTanh;
  if (up == nullptr) {
    (gelu ? kernels_.gelu_tanh : kernels_.silu)(rows, count, rows);
  } else {
    (gelu ? kernels_.gelu_tanh_mul : kernels_.silu_mul)(rows, up, count, rows);
  }
}

CpuBackend::Act CpuBackend::MlpIn(Act x, const model::MlpInOp<Weight>& op) {
  const auto norm = Use(op.norm);
  const NormWeights* norm_weights = norm ? &*norm : nullptr;
  const StackedWeight& weight = Use(op.gate_up);
  CHECK(weight.segments.size() == (op.gated ? 2 : 1), "gate on top of up, or up alone");
  CHECK(!op.gated || weight.segments[0].matrix.rows == weight.segments[1].matrix.rows, "gate and up are of one shape");
  CHECK(!op.gated || !op.bias, "a gated MLP has no bias");
  const kernels::PackedMatrix& first = weight.segments[0].matrix;
  const float* bias = op.bias ? UseVector(*op.bias) : nullptr;
  const size_t width = first.rows;
  const RowSource source = AllRows(x);
  PrepareShared(source, norm_weights, weight);
  // The same strips of gate and up at once: they meet while they are in the cache.
  const size_t all_strips = kernels::Strips(first.rows);
  const size_t strip_bytes = weight.segments.size() * StripBytes(weight);
  pool_.Run("mlp_in", PiecesOf(all_strips, strip_bytes, source.rows), [&](kernels::SectionContext& context) {
    PrefetchStart(weight.segments[0], StripsOf(context.range(), all_strips).begin);
    const ReadyRows rows = Prepare(context.thread(), source, norm_weights, weight);
    do {
      const kernels::IndexRange strips = StripsOf(context.range(), all_strips);
      Multiply(first, strips, rows, {.data = gate_, .stride = width, .add = false});
      if (op.gated) Multiply(weight.segments[1].matrix, strips, rows, {.data = up_, .stride = width, .add = false});
      const kernels::IndexRange part = RowsOf(strips, first);
      for (size_t token = 0; token < source.rows; ++token) {
        float* piece = gate_ + token * width + part.begin;
        for (size_t i = 0; bias != nullptr && i < part.end - part.begin; ++i) piece[i] += bias[part.begin + i];
        Activate(op.activation, op.gated ? up_ + token * width + part.begin : nullptr, part.end - part.begin, piece);
      }
    } while (context.Next());
  });
  return {.data = gate_, .width = static_cast<uint32_t>(width), .stride = width};
}

}  // namespace millrace::backend_cpu
