// Random weights and activations for the tests of this folder.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "base/half.h"
#include "kernels/kernel_table.h"

namespace millrace::kernels {

// What a matrix of a file can be: a type, and of an affine type its groups.
struct TestType {
  DType dtype;
  DType scale_dtype = DType::kF32;
  uint32_t group = 0;

  std::string Name() const {
    if (group == 0) return std::string(Info(dtype).name);
    return fmt::format("{} {} by {}", Info(dtype).name, Info(scale_dtype).name, group);
  }
  uint32_t unit() const { return group != 0 ? group : Info(dtype).block_elements; }  // columns are a multiple of it
};

inline std::vector<TestType> AllTypes() {
  std::vector<TestType> types;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                            DType::kQ8_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    types.push_back({.dtype = dtype});
  }
  for (const DType dtype : {DType::kAffine4, DType::kAffine6, DType::kAffine8}) {
    for (const DType scale : {DType::kF16, DType::kBF16, DType::kF32}) {
      for (const uint32_t group : {32U, 64U, 128U}) types.push_back({dtype, scale, group});
    }
  }
  return types;
}

// A file's matrix with its bytes.
struct OwnedFile {
  std::vector<std::byte> codes, scales, biases;
  FileMatrix matrix;
};

class TestData {
 public:
  explicit TestData(uint32_t seed) : random_(seed) {}

  uint32_t Below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }

  // Mostly ordinary numbers with an outlier here and there.
  float Value() {
    const float value = std::normal_distribution<float>()(random_);
    return Below(50) == 0 ? value * 40.0F : value;
  }

  std::vector<float> Values(size_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = Value();
    return values;
  }

  // Numbers at the edges: zeros of both signs, subnormals, huge, tiny, equal magnitudes.
  std::vector<float> Extremes(size_t count) {
    static constexpr float kEdges[] = {0.0F, -0.0F, 1e-40F, -3e-39F, 1e-30F, 3e37F, -3e37F, 1.0F, -1.0F, 127.0F, 0x1p-101F, 0.5F};
    std::vector<float> values(count);
    const uint32_t flavour = Below(4);
    for (float& value : values) {
      value = flavour == 0   ? kEdges[Below(5)]
              : flavour == 1 ? kEdges[Below(std::size(kEdges))]
              : flavour == 2 ? -1.0F
                             : kEdges[Below(2)];
    }
    return values;
  }

  // `extreme` fills with all-ones and -128 codes, the largest second-level scales, and first scales at the ends of their type's range.
  OwnedFile File(const TestType& type, uint32_t rows, uint32_t cols, bool extreme = false) {
    OwnedFile owned;
    const uint32_t block_bytes = Info(type.dtype).block_bytes;
    owned.codes.resize(size_t{rows} * cols / Info(type.dtype).block_elements * block_bytes);
    for (size_t at = 0; at < owned.codes.size(); at += block_bytes) FillBlock(type.dtype, owned.codes.data() + at, extreme);
    if (type.group != 0) {
      const uint32_t size = type.scale_dtype == DType::kF32 ? 4 : 2;
      owned.scales.resize(size_t{rows} * cols / type.group * size);
      owned.biases.resize(owned.scales.size());
      for (auto* numbers : {&owned.scales, &owned.biases}) {
        for (size_t at = 0; at < numbers->size(); at += size) FillNumber(type.scale_dtype, numbers->data() + at, extreme);
      }
    }
    owned.matrix = {.dtype = type.dtype,
                    .rows = rows,
                    .cols = cols,
                    .codes = owned.codes.data(),
                    .scales = owned.scales.data(),
                    .biases = owned.biases.data(),
                    .scale_dtype = type.scale_dtype,
                    .group = type.group};
    return owned;
  }

 private:
  uint16_t Scale(bool extreme) {
    static constexpr uint16_t kEdges[] = {0x0000, 0x8000, 0x0001, 0x03FF, 0x7BFF, 0xFBFF, 0x3C00};
    return extreme ? kEdges[Below(std::size(kEdges))] : FloatToHalf(Value() * 0.01F);
  }

  // A scale or bias, or a weight. bfloat16 and binary32 are kept from overflowing where they are multiplied: the promise is for numbers.
  void FillNumber(DType type, std::byte* at, bool extreme) {
    static constexpr float kEdges[] = {0.0F, -0.0F, 1e-40F, -1e-38F, 1e-30F, 1e30F, -1e30F, 1.0F};
    const float value = extreme ? kEdges[Below(std::size(kEdges))] : Value() * 0.01F;
    const uint16_t bits = type == DType::kBF16 ? FloatToBf16(value) : Scale(extreme);
    if (type == DType::kF32) {
      std::memcpy(at, &value, sizeof(value));
    } else {
      std::memcpy(at, &bits, sizeof(bits));
    }
  }

  void FillBlock(DType dtype, std::byte* at, bool extreme) {
    const uint32_t size = Info(dtype).block_bytes;
    if (IsFloat(dtype)) {
      const float value = Value();
      const uint16_t bits = dtype == DType::kF16 ? FloatToHalf(value) : FloatToBf16(value);
      std::memcpy(at, dtype == DType::kF32 ? static_cast<const void*>(&value) : &bits, size);
      return;
    }
    // Codes and second-level scales may be anything; 0x80 is the most negative signed one.
    const bool is_signed = dtype == DType::kQ8_0 || (dtype == DType::kQ6_K && Below(2) == 0);
    for (uint32_t i = 0; i < size; ++i) at[i] = static_cast<std::byte>(!extreme ? random_() & 0xFF : is_signed ? 0x80 : 0xFF);
    if (IsAffine(dtype)) return;
    const uint16_t numbers[2] = {Scale(extreme), Scale(extreme)};
    const bool two = dtype == DType::kQ4_1 || dtype == DType::kQ5_1 || dtype == DType::kQ4_K || dtype == DType::kQ5_K;
    std::memcpy(at + (dtype == DType::kQ6_K ? offsetof(BlockQ6_K, d) : 0), numbers, two ? 4 : 2);
  }

  std::mt19937 random_;
};

// A packed matrix with its bytes and those that it was packed from.
struct OwnedMatrix {
  OwnedFile file;
  std::vector<std::byte> storage;
  PackedMatrix matrix;
};

inline OwnedMatrix Pack(OwnedFile file) {
  OwnedMatrix owned{.file = std::move(file), .storage = {}, .matrix = {}};
  owned.matrix = PackedMatrixOf(owned.file.matrix).value();
  owned.storage.resize(PackedBytes(owned.matrix));
  PackStrips({owned.file.matrix, owned.matrix, owned.storage.data()}, 0, Strips(owned.matrix.rows));
  owned.matrix.data = owned.storage.data();
  return owned;
}

// Quantised rows with their memory.
struct OwnedQuant {
  std::vector<int8_t> codes;
  std::vector<float> scales, sums;
  std::vector<int16_t> minus_sums;
  QuantRows rows;
};

inline OwnedQuant Quantize(const KernelTable& kernels, const std::vector<float>& x, uint32_t cols) {
  OwnedQuant owned;
  owned.codes.resize(x.size());
  owned.scales.resize(x.size() / kGroupCols);
  owned.sums.resize(x.size() / kGroupCols);
  owned.minus_sums.resize(x.size() / kGroupCols * kMinusSums);
  owned.rows = {owned.codes.data(), owned.scales.data(), owned.sums.data(), owned.minus_sums.data(), cols};
  for (uint32_t row = 0; row < x.size() / cols; ++row) kernels.quantize_row(x.data() + size_t{row} * cols, owned.rows, row);
  return owned;
}

inline bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    const bool both_nan = a[i] != a[i] && b[i] != b[i];
    if (!both_nan && std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i])) {
      ADD_FAILURE() << "element " << i << ": " << a[i] << " and " << b[i];
      return false;
    }
  }
  return true;
}

}  // namespace millrace::kernels
