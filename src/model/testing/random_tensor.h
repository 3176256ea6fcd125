// Tensors with random values in any of the types that tests use, and what they mean in double precision: written plainly, and knowing
// nothing of any backend.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/dtype.h"
#include "base/half.h"
#include "weights/tensor_view.h"

namespace millrace::model::testing {

using Vector = std::vector<double>;

struct Matrix {
  size_t rows = 0;
  size_t cols = 0;
  Vector values;  // row after row

  const double* Row(size_t row) const { return values.data() + row * cols; }
};

// Owns the bytes of one tensor.
class RandomTensor {
 public:
  struct Spec {
    std::string name;
    DType dtype = DType::kF32;
    uint64_t rows = 1;
    uint64_t cols = 1;
    bool vector = false;
    float mean = 0;
    float deviation = 1;
    float offset = 0;            // of a vector: left out of what is stored
    uint32_t group = 32;         // of affine types
    DType scales = DType::kF16;  // of affine types
  };

  RandomTensor(const Spec& spec, std::mt19937& random) : spec_(spec) {
    std::normal_distribution<float> normal(spec.mean, spec.deviation);
    std::vector<float> row(spec.cols);
    for (uint64_t i = 0; i < spec.rows; ++i) {
      for (float& value : row) value = normal(random) - spec.offset;
      AppendRow(row);
    }
  }

  weights::TensorView view() const {
    weights::TensorView view;
    view.name = spec_.name;
    view.dtype = spec_.dtype;
    view.rank = spec_.vector ? 1 : 2;
    view.dims = {spec_.cols, spec_.rows, 1, 1};
    view.rows = spec_.rows;
    view.cols = spec_.cols;
    view.data = data_;
    if (IsAffine(spec_.dtype)) view.affine = {.group = spec_.group, .dtype = spec_.scales, .scales = scales_, .biases = biases_};
    view.offset = spec_.offset;
    return view;
  }

 private:
  template <typename T>
  static void Append(std::vector<std::byte>& to, const T& value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    to.insert(to.end(), bytes, bytes + sizeof(T));
  }

  static void AppendFloat(DType dtype, float value, std::vector<std::byte>& to) {
    if (dtype == DType::kF16) return Append(to, FloatToHalf(value));
    if (dtype == DType::kBF16) return Append(to, FloatToBf16(value));
    Append(to, value);
  }

  void AppendRow(const std::vector<float>& row) {
    if (IsFloat(spec_.dtype)) {
      for (const float value : row) AppendFloat(spec_.dtype, value, data_);
    } else if (IsAffine(spec_.dtype)) {
      for (size_t at = 0; at < row.size(); at += spec_.group) AppendAffineGroup(row.data() + at);
    } else {
      for (size_t at = 0; at < row.size(); at += 32) AppendBlock(row.data() + at);
    }
  }

  void AppendBlock(const float* x) {
    const auto [low, high] = std::minmax_element(x, x + 32);
    const float amax = std::max(std::fabs(*low), std::fabs(*high));
    const auto nibbles = [&](float offset, float step, uint8_t* qs) {
      for (int i = 0; i < 16; ++i) {
        const auto code = [&](float value) {
          return static_cast<uint8_t>(std::clamp(std::lround((value - offset) / step), 0L, 15L));
        };
        qs[i] = static_cast<uint8_t>(code(x[i]) | code(x[16 + i]) << 4);
      }
    };
    if (spec_.dtype == DType::kQ4_1) {
      BlockQ4_1 block{.d = FloatToHalf((*high - *low) / 15), .m = FloatToHalf(*low), .qs = {}};
      nibbles(*low, (*high - *low) / 15, block.qs);
      Append(data_, block);
    } else if (spec_.dtype == DType::kQ4_0) {
      BlockQ4_0 block{.d = FloatToHalf(amax / 8), .qs = {}};
      nibbles(-amax, amax / 8, block.qs);
      Append(data_, block);
    } else {
      CHECK(spec_.dtype == DType::kQ8_0, "a type that this header can make");
      BlockQ8_0 block{.d = FloatToHalf(amax / 127), .qs = {}};
      for (int i = 0; i < 32; ++i) block.qs[i] = static_cast<int8_t>(std::clamp(std::lround(x[i] / amax * 127), -127L, 127L));
      Append(data_, block);
    }
  }

  // Codes are a stream of bits, the lowest first; a group is a whole number of bytes.
  void AppendAffineGroup(const float* x) {
    const uint32_t bits = Info(spec_.dtype).block_bytes * 8 / 32;
    const auto [low, high] = std::minmax_element(x, x + spec_.group);
    const float step = (*high - *low) / static_cast<float>((1U << bits) - 1);
    AppendFloat(spec_.scales, step, scales_);
    AppendFloat(spec_.scales, *low, biases_);
    uint32_t buffer = 0;
    uint32_t held = 0;
    for (uint32_t i = 0; i < spec_.group; ++i) {
      const auto code = static_cast<uint32_t>(std::clamp(std::lround((x[i] - *low) / step), 0L, (1L << bits) - 1));
      buffer |= code << held;
      for (held += bits; held >= 8; held -= 8, buffer >>= 8) data_.push_back(static_cast<std::byte>(buffer & 0xFF));
    }
  }

  Spec spec_;
  std::vector<std::byte> data_, scales_, biases_;
};

namespace plain {

template <typename T>
T At(std::span<const std::byte> bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

inline double FloatAt(DType dtype, std::span<const std::byte> bytes, size_t index) {
  if (dtype == DType::kF16) return HalfToFloat(At<uint16_t>(bytes, index));
  if (dtype == DType::kBF16) return Bf16ToFloat(At<uint16_t>(bytes, index));
  return At<float>(bytes, index);
}

inline double AffineAt(const weights::TensorView& view, size_t index) {
  const uint32_t bits = Info(view.dtype).block_bytes * 8 / 32;
  uint32_t code = 0;
  for (uint32_t i = 0; i < bits; ++i) {
    const size_t bit = index * bits + i;
    code |= (std::to_integer<uint32_t>(view.data[bit / 8]) >> (bit % 8) & 1U) << i;
  }
  const size_t group = index / view.affine.group;
  return code * FloatAt(view.affine.dtype, view.affine.scales, group) + FloatAt(view.affine.dtype, view.affine.biases, group);
}

// One element; `index` counts through all rows.
inline double ElementAt(const weights::TensorView& view, size_t index) {
  if (IsFloat(view.dtype)) return FloatAt(view.dtype, view.data, index) + view.offset;
  if (IsAffine(view.dtype)) return AffineAt(view, index);
  const size_t i = index % 32;
  if (view.dtype == DType::kQ8_0) {
    const auto block = At<BlockQ8_0>(view.data, index / 32);
    return static_cast<double>(HalfToFloat(block.d)) * block.qs[i];
  }
  if (view.dtype == DType::kQ4_0) {
    const auto block = At<BlockQ4_0>(view.data, index / 32);
    return static_cast<double>(HalfToFloat(block.d)) * ((i < 16 ? block.qs[i] & 0xF : block.qs[i - 16] >> 4) - 8);
  }
  CHECK(view.dtype == DType::kQ4_1, "a type that this header can read");
  const auto block = At<BlockQ4_1>(view.data, index / 32);
  return static_cast<double>(HalfToFloat(block.d)) * (i < 16 ? block.qs[i] & 0xF : block.qs[i - 16] >> 4) + HalfToFloat(block.m);
}

}  // namespace plain

inline Matrix Dequantise(const weights::TensorView& view) {
  Matrix matrix{view.rows, view.cols, Vector(view.rows * view.cols)};
  for (size_t i = 0; i < matrix.values.size(); ++i) matrix.values[i] = plain::ElementAt(view, i);
  return matrix;
}

}  // namespace millrace::model::testing
