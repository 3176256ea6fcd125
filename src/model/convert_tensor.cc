#include "model/convert_tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "base/float_bytes.h"
#include "weights/affine_blocks.h"
#include "weights/affine_quantize.h"

namespace millrace::model {

namespace {

using weights::TensorView;

constexpr uint64_t kChunkElements = uint64_t{1} << 20;  // under work at a time
constexpr uint64_t kRowsApart = 8;                      // a thread takes so many rows at once

// Where a row of a planned matrix is read.
struct SourceRow {
  const TensorView* part;
  uint64_t row;
};

SourceRow Find(const PlannedTensor& tensor, uint64_t row) {
  for (const TensorView& part : tensor.parts) {
    if (row < part.rows) return {&part, tensor.order.SourceOf(row)};
    row -= part.rows;
  }
  return {nullptr, 0};
}

uint64_t FloatBytes(DType type) { return type == DType::kF32 ? 4 : 2; }

// One matrix. Rows are written in order; scales and biases, which lie behind all codes, are kept until then.
class MatrixConverter {
 public:
  MatrixConverter(const PlannedTensor& tensor, const ConversionTools& tools, weights::SafetensorsWriter& writer)
      : tensor_(tensor), tools_(tools), writer_(writer) {
    row_bytes_ = tensor.affine() ? tensor.cols * tensor.format.bits / 8 : tensor.cols * FloatBytes(tensor.dtype);
    if (!tensor.affine()) return;
    group_bytes_ = tensor.cols / tensor.format.group * FloatBytes(tensor.dtype);
    scales_.resize(tensor.rows * group_bytes_);
    biases_.resize(tensor.rows * group_bytes_);
  }

  Result<ConversionError> Convert() {
    const uint64_t chunk = std::clamp<uint64_t>(kChunkElements / tensor_.cols, 1, tensor_.rows);
    data_.resize(chunk * row_bytes_);
    errors_.resize(chunk);
    for (uint64_t begin = 0; begin < tensor_.rows; begin += chunk) {
      const uint64_t count = std::min(chunk, tensor_.rows - begin);
      tools_.for_each((count + kRowsApart - 1) / kRowsApart, [this, begin, count](uint64_t piece) {
        std::vector<float> values(tensor_.cols);
        std::vector<float> written(tensor_.cols);
        for (uint64_t i = piece * kRowsApart; i < std::min(count, (piece + 1) * kRowsApart); ++i) {
          errors_[i] = ConvertRow(begin + i, data_.data() + i * row_bytes_, values, written);
        }
      });
      for (uint64_t i = 0; i < count; ++i) {
        sum_.error_squares += errors_[i].error_squares;
        sum_.source_squares += errors_[i].source_squares;
      }
      if (!std::isfinite(sum_.error_squares) || !std::isfinite(sum_.source_squares)) {
        return Error(Code::kInvalidArgument, "tensor '{}': a value that is not finite, or above what f16 holds", tensor_.name);
      }
      RETURN_IF_ERROR(writer_.Append({data_.data(), count * row_bytes_}));
      tools_.progress((begin + count) * tensor_.cols);
    }
    RETURN_IF_ERROR(writer_.Append(scales_));
    RETURN_IF_ERROR(writer_.Append(biases_));
    return sum_;
  }

 private:
  ConversionError ConvertRow(uint64_t row, std::byte* out, std::vector<float>& values, std::vector<float>& written) {
    const SourceRow source = Find(tensor_, row);
    tools_.read_row(*source.part, source.row, values.data());
    if (!tensor_.affine()) return StoreFloats(source, values, out);
    std::byte* scales = scales_.data() + row * group_bytes_;
    std::byte* biases = biases_.data() + row * group_bytes_;
    if (tensor_.change == Change::kCopied) {
      const auto copy = [row = source.row](std::span<const std::byte> from, uint64_t bytes, std::byte* to) {
        std::memcpy(to, from.data() + row * bytes, bytes);
      };
      copy(source.part->data, row_bytes_, out);
      copy(source.part->affine.scales, group_bytes_, scales);
      copy(source.part->affine.biases, group_bytes_, biases);
      return WithoutError(values);
    }
    Encode(
        source, values,
        {.codes = {out, row_bytes_}, .scales = {scales, group_bytes_}, .biases = {biases, group_bytes_}, .dtype = tensor_.dtype});
    tools_.read_row(WrittenRow(out, scales, biases), 0, written.data());
    ConversionError error;
    for (uint64_t i = 0; i < tensor_.cols; ++i) Add(values[i], written[i], error);
    return error;
  }

  void Encode(const SourceRow& source, const std::vector<float>& values, const weights::AffineOutput& out) const {
    if (tensor_.change == Change::kRequantised) {
      weights::QuantizeAffine(values, tensor_.format.bits, tensor_.format.group, out);
      return;
    }
    const DTypeInfo& info = Info(source.part->dtype);
    const std::byte* block = source.part->data.data() + source.row * source.part->row_bytes();
    const uint64_t code_bytes = weights::kAffineBlock * tensor_.format.bits / 8;
    const uint64_t step = FloatBytes(tensor_.dtype);
    uint8_t codes[weights::kAffineBlock];
    for (uint64_t i = 0; i < tensor_.cols / weights::kAffineBlock; ++i, block += info.block_bytes) {
      const weights::AffineScale found = weights::ReadAffineBlock(source.part->dtype, block, codes);
      weights::PackAffineCodes(codes, tensor_.format.bits, out.codes.data() + i * code_bytes);
      StoreFloat(tensor_.dtype, found.scale, out.scales.data() + i * step);
      StoreFloat(tensor_.dtype, found.bias, out.biases.data() + i * step);
    }
  }

  // A row as it was written, for whoever reads it back.
  TensorView WrittenRow(const std::byte* codes, const std::byte* scales, const std::byte* biases) const {
    TensorView view;
    view.dtype = tensor_.format.dtype();
    view.rank = 2;
    view.dims = {tensor_.cols, 1, 1, 1};
    view.cols = tensor_.cols;
    view.data = {codes, row_bytes_};
    view.affine = {.group = tensor_.format.group,
                   .dtype = tensor_.dtype,
                   .scales = {scales, group_bytes_},
                   .biases = {biases, group_bytes_}};
    return view;
  }

  ConversionError StoreFloats(const SourceRow& source, const std::vector<float>& values, std::byte* out) const {
    const uint64_t step = FloatBytes(tensor_.dtype);
    if (tensor_.change == Change::kCopied) {
      std::memcpy(out, source.part->data.data() + source.row * row_bytes_, row_bytes_);
      return WithoutError(values);
    }
    ConversionError error;
    for (const float value : values) {
      StoreFloat(tensor_.dtype, value, out);
      Add(value, LoadFloat(tensor_.dtype, out), error);
      out += step;
    }
    return error;
  }

  static ConversionError WithoutError(const std::vector<float>& values) {
    ConversionError error;
    for (const float value : values) Add(value, value, error);
    return error;
  }

  static void Add(float source, float written, ConversionError& error) {
    const double difference = double{written} - double{source};
    error.error_squares += difference * difference;
    error.source_squares += double{source} * double{source};
  }

  const PlannedTensor& tensor_;
  const ConversionTools& tools_;
  weights::SafetensorsWriter& writer_;
  uint64_t row_bytes_ = 0;
  uint64_t group_bytes_ = 0;  // scales of a row
  std::vector<std::byte> data_;
  std::vector<std::byte> scales_;
  std::vector<std::byte> biases_;
  std::vector<ConversionError> errors_;  // of each row of the chunk, so that the sum does not depend on threads
  ConversionError sum_;
};

Result<ConversionError> ConvertVector(const PlannedTensor& tensor, weights::SafetensorsWriter& writer) {
  const TensorView& view = tensor.parts.front();
  ConversionError error;
  if (tensor.change == Change::kCopied) {
    RETURN_IF_ERROR(writer.Append(view.data));
    return error;
  }
  const uint64_t from = FloatBytes(view.dtype);
  const uint64_t to = FloatBytes(tensor.dtype);
  std::vector<std::byte> out(tensor.cols * to);
  for (uint64_t i = 0; i < tensor.cols; ++i) {
    const float value = LoadFloat(view.dtype, view.data.data() + tensor.order.SourceOf(i) * from) - tensor.offset;
    StoreFloat(tensor.dtype, value, out.data() + i * to);
    const double difference = double{LoadFloat(tensor.dtype, out.data() + i * to)} - double{value};
    error.error_squares += difference * difference;
    error.source_squares += double{value} * double{value};
  }
  RETURN_IF_ERROR(writer.Append(out));
  return error;
}

}  // namespace

double ConversionError::relative_rms() const { return source_squares > 0 ? std::sqrt(error_squares / source_squares) : 0; }

Result<ConversionError> ConvertTensor(const PlannedTensor& tensor, const ConversionTools& tools,
                                      weights::SafetensorsWriter& writer) {
  if (!tensor.vector) return MatrixConverter(tensor, tools, writer).Convert();
  auto error = ConvertVector(tensor, writer);
  if (error.ok()) tools.progress(tensor.cols);
  return error;
}

}  // namespace millrace::model
