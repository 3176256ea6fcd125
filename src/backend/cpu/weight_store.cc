#include "backend/cpu/weight_store.h"

#include <algorithm>
#include <utility>

#include "base/checked.h"

namespace millrace::backend_cpu {
namespace {

// Tensors share chunks, so that small ones do not take 2 MiB each; what is never written costs nothing.
constexpr size_t kChunkBytes = size_t{64} << 20;
constexpr size_t kAlignment = 64;
constexpr size_t kPackGrain = 16;  // strips, or rows in the reference mode

kernels::FileMatrix FileMatrixOf(const weights::TensorView& view) {
  return {.dtype = view.dtype,
          .rows = view.rows,
          .cols = view.cols,
          .codes = view.data.data(),
          .scales = view.affine.scales.data(),
          .biases = view.affine.biases.data(),
          .scale_dtype = view.affine.dtype,
          .group = view.affine.group};
}

// Rows of the file to floats, for the reference mode.
void Dequantise(const kernels::FileMatrix& file, kernels::IndexRange rows, std::byte* packed) {
  for (size_t row = rows.begin; row < rows.end; ++row) {
    kernels::DequantizeFileRow(file, row, reinterpret_cast<float*>(packed) + row * file.cols);
  }
}

}  // namespace

Result<std::byte*> WeightStore::Allocate(size_t bytes) {
  const auto aligned = CheckedAlign<size_t>(bytes, kAlignment);
  if (!aligned) return Error(Code::kInvalidArgument, "a tensor of {} bytes does not fit the address space", bytes);
  if (chunks_.empty() || *aligned > chunks_.back().size() - chunk_used_) {
    ASSIGN_OR_RETURN(HugeBuffer chunk, HugeBuffer::Allocate(std::max(*aligned, kChunkBytes)));
    chunks_.push_back(std::move(chunk));
    chunk_used_ = 0;
  }
  std::byte* at = chunks_.back().data() + chunk_used_;
  chunk_used_ += *aligned;
  resident_bytes_ += *aligned;
  return at;
}

Result<kernels::PackedMatrix> WeightStore::Pack(const weights::TensorView& view) {
  const kernels::FileMatrix file = FileMatrixOf(view);
  ASSIGN_OR_RETURN(kernels::PackedMatrix matrix, kernels::PackedMatrixOf(file));
  if (dequantise_) {  // the same shape as a matrix of floats
    ASSIGN_OR_RETURN(matrix, kernels::PackedMatrixOf({.dtype = DType::kF32, .rows = view.rows, .cols = view.cols}));
  }
  ASSIGN_OR_RETURN(std::byte* const packed, Allocate(kernels::PackedBytes(matrix)));
  const kernels::PackJob job{.file = file, .matrix = matrix, .packed = packed};
  const kernels::SectionSize size{.items = dequantise_ ? matrix.rows : kernels::Strips(matrix.rows), .grain = kPackGrain};
  pool_.Run("pack", size, [&](kernels::SectionContext& context) {
    do {
      const kernels::IndexRange range = context.range();
      if (dequantise_) {
        Dequantise(file, range, packed);
      } else {
        kernels::PackStrips(job, static_cast<uint32_t>(range.begin), static_cast<uint32_t>(range.end));
      }
    } while (context.Next());
  });
  matrix.data = packed;
  return matrix;
}

Result<uint32_t> WeightStore::Add(std::span<const weights::TensorView> views) {
  StackedWeight stack;
  for (const weights::TensorView& view : views) {
    if (stack.segments.size() > 0 && view.cols != stack.cols) {
      return Error(Code::kInvalidArgument, "tensor '{}' has {} columns, expected {} like those stacked with it", view.name,
                   view.cols, stack.cols);
    }
    auto matrix = Pack(view);
    if (!matrix.ok()) return matrix.status().Within(fmt::format("tensor '{}'", view.name));
    stack.segments.push_back({.matrix = *matrix, .row_offset = stack.rows, .source_bytes = view.source_bytes()});
    stack.cols = matrix->cols;
    const auto rows = CheckedAdd(stack.rows, matrix->rows);
    if (!rows)
      return Error(Code::kInvalidArgument, "tensor '{}': {} rows are too many on top of {}", view.name, view.rows, stack.rows);
    stack.rows = *rows;
    stack.source_bytes += view.source_bytes();
    (kernels::WantsQuantisedRows(matrix->form) ? stack.quantised : stack.full_precision) = true;
  }
  if (stack.segments.empty()) return Error(Code::kInvalidArgument, "a weight of no tensors");
  weights_.push_back(std::move(stack));
  return static_cast<uint32_t>(weights_.size() - 1);
}

}  // namespace millrace::backend_cpu
