// Random weights and activations for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "base/dtype.h"
#include "base/half.h"
#include "kernels/kernel_table.h"

namespace millrace::kernels {

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

  // Blocks of a file. `extreme` fills with all-15 and -128 codes and scales at the ends of binary16's range.
  std::vector<std::byte> Blocks(DType dtype, uint32_t rows, uint32_t cols, bool extreme = false) {
    std::vector<std::byte> bytes(size_t{rows} * cols / Info(dtype).block_elements * Info(dtype).block_bytes);
    for (size_t at = 0; at < bytes.size(); at += Info(dtype).block_bytes) FillBlock(dtype, bytes.data() + at, extreme);
    return bytes;
  }

 private:
  uint16_t Scale(bool extreme) {
    static constexpr uint16_t kEdges[] = {0x0000, 0x8000, 0x0001, 0x03FF, 0x7BFF, 0xFBFF, 0x3C00};
    return extreme ? kEdges[Below(std::size(kEdges))] : FloatToHalf(Value() * 0.01F);
  }

  void FillBlock(DType dtype, std::byte* at, bool extreme) {
    if (dtype == DType::kF32) {
      const float value = Value();
      std::memcpy(at, &value, sizeof(value));
    } else if (dtype == DType::kQ4_1) {
      BlockQ4_1 block{.d = Scale(extreme), .m = Scale(extreme), .qs = {}};
      for (uint8_t& codes : block.qs) codes = extreme ? 0xFF : static_cast<uint8_t>(random_());
      std::memcpy(at, &block, sizeof(block));
    } else {
      BlockQ8_0 block{.d = Scale(extreme), .qs = {}};
      for (int8_t& code : block.qs) code = extreme ? -128 : static_cast<int8_t>(random_());
      std::memcpy(at, &block, sizeof(block));
    }
  }

  std::mt19937 random_;
};

// A packed matrix with its bytes.
struct OwnedMatrix {
  std::vector<std::byte> source;
  std::vector<std::byte> storage;
  PackedMatrix matrix;
};

inline OwnedMatrix Pack(DType dtype, uint32_t rows, uint32_t cols, std::vector<std::byte> source) {
  OwnedMatrix owned{.source = std::move(source), .storage = {}, .matrix = {}};
  owned.storage.resize(PackedBytes(dtype, rows, cols).value());
  PackStrips({dtype, rows, cols, owned.source.data(), owned.storage.data()}, 0, Strips(rows));
  owned.matrix = {.dtype = dtype, .rows = rows, .cols = cols, .data = owned.storage.data()};
  return owned;
}

// Quantised rows with their memory.
struct OwnedQuant {
  std::vector<int8_t> codes;
  std::vector<float> scales, sums;
  QuantRows rows;
};

inline OwnedQuant Quantize(const KernelTable& kernels, const std::vector<float>& x, uint32_t cols) {
  OwnedQuant owned;
  owned.codes.resize(x.size());
  owned.scales.resize(x.size() / kGroupCols);
  owned.sums.resize(x.size() / kGroupCols);
  owned.rows = {owned.codes.data(), owned.scales.data(), owned.sums.data(), cols};
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
