#include "kernels/packed.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "base/checked.h"
#include "base/half.h"

namespace millrace::kernels {
namespace {

uint32_t GroupBytes(DType dtype) { return dtype == DType::kQ4_1 ? kQ4_1GroupBytes : kQ8_0GroupBytes; }

// 16 bits as they lie in memory.
uint16_t LoadHalf(const std::byte* from) {
  uint16_t bits;
  std::memcpy(&bits, from, sizeof(bits));
  return bits;
}

template <typename Block>
Block LoadBlock(const PackJob& job, uint32_t row, uint32_t group) {
  Block block{};
  if (row < job.rows) {
    const size_t index = size_t{row} * (job.cols / kGroupCols) + group;
    std::memcpy(&block, job.source + index * sizeof(Block), sizeof(Block));
  }
  return block;
}

void PackGroupQ4_1(const PackJob& job, uint32_t strip, uint32_t group, std::byte* out) {
  for (uint32_t r = 0; r < kStripRows; ++r) {
    const auto block = LoadBlock<BlockQ4_1>(job, strip * kStripRows + r, group);
    std::memcpy(out + 2 * r, &block.d, 2);
    std::memcpy(out + 16 + 2 * r, &block.m, 2);
    for (uint32_t j = 0; j < 4; ++j) std::memcpy(out + 32 + 32 * j + 4 * r, block.qs + 4 * j, 4);
  }
}

void PackGroupQ8_0(const PackJob& job, uint32_t strip, uint32_t group, std::byte* out) {
  for (uint32_t r = 0; r < kStripRows; ++r) {
    const auto block = LoadBlock<BlockQ8_0>(job, strip * kStripRows + r, group);
    std::memcpy(out + 2 * r, &block.d, 2);
    for (uint32_t j = 0; j < 8; ++j) std::memcpy(out + 16 + 32 * j + 4 * r, block.qs + 4 * j, 4);
  }
}

}  // namespace

size_t StripBytes(DType dtype, uint32_t cols) {
  if (dtype == DType::kF32) return size_t{kStripRows} * cols * sizeof(float);
  return size_t{cols} / kGroupCols * GroupBytes(dtype);
}

Result<size_t> PackedBytes(DType dtype, uint64_t rows, uint64_t cols) {
  if (dtype != DType::kF32 && dtype != DType::kQ4_1 && dtype != DType::kQ8_0) {
    return Error(Code::kUnsupported, "weights of type {}: expected F32, Q4_1 or Q8_0", Info(dtype).name);
  }
  constexpr uint64_t kMax = std::numeric_limits<uint32_t>::max() - kStripRows;
  if (rows == 0 || cols == 0 || rows > kMax || cols > kMax) {
    return Error(Code::kInvalidArgument, "matrix of {} x {}: expected 1 to {} rows and columns", rows, cols, kMax);
  }
  if (dtype != DType::kF32 && cols % kGroupCols != 0) {
    return Error(Code::kInvalidArgument, "{} matrix with {} columns: expected a multiple of {}", Info(dtype).name, cols,
                 kGroupCols);
  }
  const size_t unit = dtype == DType::kF32 ? cols * sizeof(float) : StripBytes(dtype, static_cast<uint32_t>(cols));
  const auto bytes = CheckedMul<size_t>(unit, dtype == DType::kF32 ? rows : Strips(static_cast<uint32_t>(rows)));
  if (!bytes) return Error(Code::kInvalidArgument, "matrix of {} x {} does not fit the address space", rows, cols);
  return *bytes;
}

void PackStrips(const PackJob& job, uint32_t begin, uint32_t end) {
  const size_t strip_bytes = StripBytes(job.dtype, job.cols);
  if (job.dtype == DType::kF32) {
    const size_t row_bytes = size_t{job.cols} * sizeof(float);
    const uint32_t last = std::min(end * kStripRows, job.rows);
    const size_t from = size_t{begin} * strip_bytes;
    if (begin * kStripRows < last) std::memcpy(job.packed + from, job.source + from, last * row_bytes - from);
    return;
  }
  const uint32_t groups = job.cols / kGroupCols;
  for (uint32_t strip = begin; strip < end; ++strip) {
    std::byte* out = job.packed + strip * strip_bytes;
    for (uint32_t group = 0; group < groups; ++group, out += GroupBytes(job.dtype)) {
      if (job.dtype == DType::kQ4_1) {
        PackGroupQ4_1(job, strip, group, out);
      } else {
        PackGroupQ8_0(job, strip, group, out);
      }
    }
  }
}

void DequantizeFileRow(DType dtype, const std::byte* source, uint32_t cols, float* out) {
  if (dtype == DType::kF32) {
    std::memcpy(out, source, size_t{cols} * sizeof(float));
    return;
  }
  // d * q is exact in binary32 (11 + 8 bits), so the only rounding is that of the sum.
  for (uint32_t group = 0; group < cols / kGroupCols; ++group, out += kGroupCols) {
    if (dtype == DType::kQ4_1) {
      BlockQ4_1 block;
      std::memcpy(&block, source + group * sizeof(block), sizeof(block));
      const float d = HalfToFloat(block.d);
      const float m = HalfToFloat(block.m);
      for (uint32_t i = 0; i < 16; ++i) {
        out[i] = d * static_cast<float>(block.qs[i] & 0xF) + m;
        out[16 + i] = d * static_cast<float>(block.qs[i] >> 4) + m;
      }
    } else {
      CHECK(dtype == DType::kQ8_0, "the shape has passed PackedBytes");
      BlockQ8_0 block;
      std::memcpy(&block, source + group * sizeof(block), sizeof(block));
      const float d = HalfToFloat(block.d);
      for (uint32_t i = 0; i < kGroupCols; ++i) out[i] = d * static_cast<float>(block.qs[i]);
    }
  }
}

void DequantizePackedRow(const PackedMatrix& matrix, uint32_t row, float* out) {
  const size_t strip_bytes = StripBytes(matrix.dtype, matrix.cols);
  if (matrix.dtype == DType::kF32) {
    std::memcpy(out, matrix.data + size_t{row} * matrix.cols * sizeof(float), size_t{matrix.cols} * sizeof(float));
    return;
  }
  const std::byte* group_data = matrix.data + row / kStripRows * strip_bytes;
  const uint32_t r = row % kStripRows;
  for (uint32_t group = 0; group < matrix.cols / kGroupCols; ++group, out += kGroupCols, group_data += GroupBytes(matrix.dtype)) {
    const float d = HalfToFloat(LoadHalf(group_data + 2 * r));
    if (matrix.dtype == DType::kQ4_1) {
      const float m = HalfToFloat(LoadHalf(group_data + 16 + 2 * r));
      for (uint32_t i = 0; i < 16; ++i) {
        const auto codes = static_cast<uint8_t>(group_data[32 + i / 4 * 32 + 4 * r + i % 4]);
        out[i] = d * static_cast<float>(codes & 0xF) + m;
        out[16 + i] = d * static_cast<float>(codes >> 4) + m;
      }
    } else {
      for (uint32_t i = 0; i < kGroupCols; ++i) {
        out[i] = d * static_cast<float>(static_cast<int8_t>(group_data[16 + i / 4 * 32 + 4 * r + i % 4]));
      }
    }
  }
}

}  // namespace millrace::kernels
