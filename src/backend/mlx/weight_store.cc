#include "backend/mlx/weight_store.h"

#include <mlx/ops.h>
#include <mlx/transforms.h>

#include <algorithm>
#include <utility>

#include "backend/mlx/affine.h"

namespace millrace::backend_mlx {
namespace {

namespace mx = mlx::core;

int Int(uint64_t value) { return static_cast<int>(value); }

// The bytes of a file as an array of their own type; they may lie at any address.
mx::array FromBytes(std::span<const std::byte> bytes, const mx::Shape& shape, mx::Dtype dtype) {
  const auto* const data = reinterpret_cast<const uint8_t*>(bytes.data());
  // By rows, because the number of all bytes may not fit MLX's int.
  return mx::view(mx::array(data, {shape[0], Int(bytes.size() / static_cast<size_t>(shape[0]))}, mx::uint8), dtype);
}

mx::Dtype FloatType(DType dtype) {
  if (dtype == DType::kF16) return mx::float16;
  return dtype == DType::kBF16 ? mx::bfloat16 : mx::float32;
}

std::string_view NameOf(mx::Dtype dtype) {
  if (dtype == mx::float16) return "float16";
  return dtype == mx::bfloat16 ? "bfloat16" : "float32";
}

mx::array Stack(std::vector<mx::array> arrays) { return arrays.size() == 1 ? arrays[0] : mx::concatenate(std::move(arrays), 0); }

uint64_t BytesOf(const StoredWeight& weight) {
  uint64_t bytes = weight.vector ? weight.vector->nbytes() : 0;
  for (const MatrixPart& part : weight.parts) {
    bytes += part.data.nbytes();
    if (part.scales) bytes += part.scales->nbytes() + part.biases->nbytes();
  }
  return bytes;
}

}  // namespace

// Zero bits: floats.
Result<WeightStore::Form> WeightStore::FormOf(const weights::TensorView& view) const {
  constexpr uint64_t kMostRows = uint64_t{1} << 31;  // MLX counts in 32 bits
  if (view.rows >= kMostRows || view.cols >= kMostRows) {
    return Error(Code::kUnsupported, "tensor '{}': {} x {} elements, MLX counts rows and columns up to {}; use --engine cpu",
                 view.name, view.rows, view.cols, kMostRows - 1);
  }
  if (const auto form = AffineFormOf(view.dtype)) return Form{Int(form->bits), Int(form->group)};
  if (!IsAffine(view.dtype)) return Form{};
  const uint32_t group = view.affine.group;
  if ((group != 32 && group != 64 && group != 128) || view.cols % group != 0) {
    return Error(
        Code::kUnsupported,
        "tensor '{}': {} columns in groups of {}, MLX has groups of 32, 64 and 128 that divide the columns; use --engine cpu",
        view.name, view.cols, group);
  }
  return Form{Int(Info(view.dtype).block_bytes / 4), Int(group)};  // a block is 32 codes: as many words as a code has bits
}

Result<std::vector<WeightStore::Form>> WeightStore::FormsOf(std::span<const weights::TensorView> views) const {
  constexpr size_t kMostParts = 3;  // q, k, v; a product with experts wants one part
  std::vector<Form> forms;
  size_t changes = 0;
  for (const weights::TensorView& view : views) {
    ASSIGN_OR_RETURN(const Form form, FormOf(view));
    if (!forms.empty() && form != forms.back()) ++changes;
    forms.push_back(form);
  }
  if (changes > 0 && views.size() > kMostParts) std::fill(forms.begin(), forms.end(), Form{});
  return forms;
}

MatrixPart WeightStore::TakeAffine(const weights::TensorView& view, Form form) const {
  const int rows = Int(view.rows), cols = Int(view.cols);
  const mx::Shape code_shape{rows, cols / 32 * form.bits}, group_shape{rows, cols / form.group};
  if (IsAffine(view.dtype)) {
    const mx::Dtype type = FloatType(view.affine.dtype);
    return {.data = FromBytes(view.data, code_shape, mx::uint32),
            .scales = mx::astype(FromBytes(view.affine.scales, group_shape, type), compute_),
            .biases = mx::astype(FromBytes(view.affine.biases, group_shape, type), compute_)};
  }
  AffineMatrix matrix;
  AppendAffine(view.dtype, view.data, view.rows, view.cols, matrix);
  return {.data = mx::array(matrix.codes.data(), code_shape, mx::uint32),
          .scales = mx::astype(mx::array(matrix.scales.data(), group_shape, mx::float32), compute_),
          .biases = mx::astype(mx::array(matrix.biases.data(), group_shape, mx::float32), compute_)};
}

MatrixPart WeightStore::TakeFloats(const weights::TensorView& view) const {
  const mx::Shape shape{Int(view.rows), Int(view.cols)};
  if (IsFloat(view.dtype))
    return {.data = mx::astype(FromBytes(view.data, shape, FloatType(view.dtype)), compute_), .scales = {}, .biases = {}};
  if (IsAffine(view.dtype)) {
    const Form form = FormOf(view).value();
    const MatrixPart part = TakeAffine(view, form);
    return {.data = mx::dequantize(part.data, *part.scales, part.biases, form.group, form.bits), .scales = {}, .biases = {}};
  }
  std::vector<float> values;
  AppendFloats(view.dtype, view.data, values);
  return {.data = mx::astype(mx::array(values.data(), shape, mx::float32), compute_), .scales = {}, .biases = {}};
}

// Tensors of one form, stacked.
MatrixPart WeightStore::TakeMatrix(std::span<const weights::TensorView> views, Form form) const {
  std::vector<mx::array> data, scales, biases;
  int rows = 0;
  for (const weights::TensorView& view : views) {
    MatrixPart part = form.bits == 0 ? TakeFloats(view) : TakeAffine(view, form);
    data.push_back(std::move(part.data));
    if (part.scales) scales.push_back(*std::move(part.scales));
    if (part.biases) biases.push_back(*std::move(part.biases));
    rows += Int(view.rows);
  }
  MatrixPart whole{
      .data = Stack(std::move(data)), .scales = {}, .biases = {}, .bits = form.bits, .group = form.group, .rows = rows};
  std::vector<mx::array> done{whole.data};
  if (form.bits != 0) {
    whole.scales = Stack(std::move(scales));
    whole.biases = Stack(std::move(biases));
    done.insert(done.end(), {*whole.scales, *whole.biases});
  }
  mx::eval(std::move(done));  // now: the copies of the file's bytes are no longer needed, and failures belong to the load
  return whole;
}

void WeightStore::Note(const weights::TensorView& view, Form form) {
  const std::string_view compute = NameOf(compute_);
  if (IsAffine(view.dtype)) {
    changes_[view.dtype] = "as it is";
  } else if (form.bits != 0) {
    // Simple types have f16 scales, of which a bfloat16 keeps 8 bits; two-level scales need a float32.
    const bool two_level = view.dtype == DType::kQ4_K || view.dtype == DType::kQ5_K;
    const bool exact = compute_ == mx::float32 || (compute_ == mx::float16 && !two_level);
    changes_[view.dtype] =
        fmt::format("converted to affine {}-bit {}", form.bits, exact ? "without loss" : fmt::format("with {} scales", compute));
  } else if (FloatType(view.dtype) == compute_ && IsFloat(view.dtype)) {
    changes_[view.dtype] = "as it is";
  } else {
    changes_[view.dtype] = fmt::format("{} {}", compute_ == mx::float32 ? "widened to" : "rounded to", compute);
  }
}

uint32_t WeightStore::Keep(StoredWeight weight, std::span<const weights::TensorView> views) {
  for (const weights::TensorView& view : views) {
    weight.rows += Int(view.rows);
    weight.cols = Int(view.cols);
    weight.source_bytes += view.source_bytes();
  }
  resident_bytes_ += BytesOf(weight);
  weights_.push_back(std::move(weight));
  return static_cast<uint32_t>(weights_.size() - 1);
}

Result<uint32_t> WeightStore::AddMatrix(std::span<const weights::TensorView> views) {
  ASSIGN_OR_RETURN(const std::vector<Form> forms, FormsOf(views));
  StoredWeight weight;
  for (size_t begin = 0, end = 0; begin < views.size(); begin = end) {
    for (end = begin; end < views.size() && forms[end] == forms[begin]; ++end) Note(views[end], forms[end]);
    weight.parts.push_back(TakeMatrix(views.subspan(begin, end - begin), forms[begin]));
  }
  return Keep(std::move(weight), views);
}

// Affine vectors do not exist: a vector has no groups of columns in any format.
Result<uint32_t> WeightStore::AddVector(std::span<const weights::TensorView> views) {
  std::vector<float> values;
  for (const weights::TensorView& view : views) {
    if (IsAffine(view.dtype))
      return Error(Code::kUnsupported, "tensor '{}': a vector of type {}", view.name, Info(view.dtype).name);
    const size_t begin = values.size();
    AppendFloats(view.dtype, view.data, values);
    for (size_t i = begin; i < values.size(); ++i) values[i] += view.offset;
  }
  StoredWeight weight;
  weight.vector = mx::array(values.data(), {Int(values.size())}, mx::float32);
  return Keep(std::move(weight), views);
}

std::string WeightStore::Describe() const {
  std::string text;
  for (const auto& [dtype, change] : changes_) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", Info(dtype).name, change);
  return text;
}

}  // namespace millrace::backend_mlx
