#include "weights/affine_quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "base/float_bytes.h"

namespace millrace::weights {

namespace {

constexpr float kLeastScale = 1e-7F;
constexpr uint32_t kCodesAtOnce = 8;  // of any width: whole bytes

struct Grid {
  float scale;
  float bias;
};

Grid GridOf(std::span<const float> values, float levels) {
  float low = std::numeric_limits<float>::infinity();
  float high = -low;
  for (const float value : values) {
    high = std::max(high, value);
    low = std::min(low, value);
  }
  const bool at_low = std::abs(low) > std::abs(high);
  const float edge = at_low ? low : high;
  float scale = std::max((high - low) / levels, kLeastScale);
  if (!at_low) scale = -scale;
  const float steps = std::rint(edge / scale);
  if (steps == 0) return {scale, 0};
  return {edge / steps, edge};
}

// Values of a float row of a file; `at` need not be aligned.
void Load(const std::byte* at, DType dtype, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) out[i] = LoadFloat(dtype, at + i * Info(dtype).block_bytes);
}

}  // namespace

void QuantizeAffine(std::span<const float> values, uint32_t bits, uint32_t group, const AffineOutput& out) {
  CHECK(bits == 4 || bits == 6 || bits == 8, "4, 6 or 8 bits");
  CHECK(group % 32 == 0 && group > 0 && values.size() % group == 0, "whole groups");
  const size_t stored = Info(out.dtype).block_bytes;
  const size_t groups = values.size() / group;
  CHECK(out.codes.size() == values.size() * bits / 8 && out.scales.size() == groups * stored &&
            out.biases.size() == groups * stored,
        "the output has room for exactly the groups");
  const auto levels = static_cast<float>((1U << bits) - 1);
  std::byte* codes = out.codes.data();
  for (size_t g = 0; g < groups; ++g) {
    const auto part = values.subspan(g * group, group);
    const Grid grid = GridOf(part, levels);
    for (size_t i = 0; i < group; i += kCodesAtOnce) {
      uint64_t packed = 0;
      for (size_t k = 0; k < kCodesAtOnce; ++k) {
        const float code = std::clamp(std::rint((part[i + k] - grid.bias) / grid.scale), 0.0F, levels);
        packed |= static_cast<uint64_t>(std::isnan(code) ? 0.0F : code) << (k * bits);
      }
      std::memcpy(codes, &packed, bits);  // 8 codes of `bits` bits
      codes += bits;
    }
    StoreFloat(out.dtype, grid.scale, out.scales.data() + g * stored);
    StoreFloat(out.dtype, grid.bias, out.biases.data() + g * stored);
  }
}

Result<AffineMatrix> AffineMatrix::For(const TensorView& source, uint32_t bits, uint32_t group) {
  if (!IsFloat(source.dtype) || source.rank < 2) {
    return Error(Code::kInvalidArgument, "tensor '{}': expected a matrix of F32, F16 or BF16, found {} of {} dimensions",
                 source.name, Info(source.dtype).name, source.rank);
  }
  if (bits != 4 && bits != 6 && bits != 8) return Error(Code::kInvalidArgument, "{} bits, expected 4, 6 or 8", bits);
  if (group != 32 && group != 64 && group != 128)
    return Error(Code::kInvalidArgument, "group of {}, expected 32, 64 or 128", group);
  if (source.cols % group != 0) {
    return Error(Code::kInvalidArgument, "tensor '{}': {} columns, expected a multiple of the group {}", source.name, source.cols,
                 group);
  }
  AffineMatrix out;
  out.source_ = source;
  out.bits_ = bits;
  const size_t elements = source.rows * source.cols;
  out.codes_.resize(elements / 8 * bits);
  out.scales_.resize(elements / group * Info(source.dtype).block_bytes);
  out.biases_.resize(out.scales_.size());
  out.view_ = source;
  out.view_.dtype = bits == 4 ? DType::kAffine4 : bits == 6 ? DType::kAffine6 : DType::kAffine8;
  out.view_.data = out.codes_;
  out.view_.affine = {.group = group, .dtype = source.dtype, .scales = out.scales_, .biases = out.biases_};
  return out;
}

void AffineMatrix::FillRows(uint64_t begin, uint64_t end) {
  CHECK(begin <= end && end <= view_.rows, "rows of the matrix");
  std::vector<float> row(view_.cols);
  const size_t row_codes = view_.cols / 8 * bits_;
  const size_t row_scales = view_.cols / view_.affine.group * Info(source_.dtype).block_bytes;
  for (uint64_t i = begin; i < end; ++i) {
    Load(source_.data.data() + i * source_.row_bytes(), source_.dtype, row);
    QuantizeAffine(row, bits_, view_.affine.group,
                   {.codes = std::span(codes_).subspan(i * row_codes, row_codes),
                    .scales = std::span(scales_).subspan(i * row_scales, row_scales),
                    .biases = std::span(biases_).subspan(i * row_scales, row_scales),
                    .dtype = source_.dtype});
  }
}

uint32_t AffineGroupFor(uint64_t cols) { return cols % 64 == 0 ? 64 : cols % 32 == 0 ? 32 : 0; }

}  // namespace millrace::weights
