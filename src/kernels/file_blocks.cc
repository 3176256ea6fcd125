#include "kernels/file_blocks.h"

#include <cstring>

#include "base/check.h"

namespace millrace::kernels {
namespace {

constexpr uint32_t kSuperCols = 256;  // columns of a K-quant's block
constexpr uint32_t kSuperGroups = kSuperCols / kGroupCols;
constexpr uint64_t kEachByte = 0x0101010101010101U;

// The low (shift 0) or high (shift 4) nibbles of `count` bytes, a multiple of 8.
void ReadNibbles(const std::byte* from, uint32_t shift, uint32_t count, uint8_t* codes) {
  for (uint32_t i = 0; i < count; i += 8) {
    const uint64_t nibbles = LoadAs<uint64_t>(from + i) >> shift & 15 * kEachByte;
    std::memcpy(codes + i, &nibbles, sizeof(nibbles));
  }
}

// `bits` bits of each of 32 bytes, from bit `shift` on, become bits 4 and up of the codes.
void AddHighBits(const std::byte* from, uint32_t shift, uint32_t bits, uint8_t* codes) {
  const uint64_t mask = (1U << bits) - 1;
  for (uint32_t i = 0; i < kGroupCols; i += 8) {
    uint64_t code;
    std::memcpy(&code, codes + i, sizeof(code));
    code |= (LoadAs<uint64_t>(from + i) >> shift & mask * kEachByte) << 4;
    std::memcpy(codes + i, &code, sizeof(code));
  }
}

// Q5_0 and Q5_1: bit i of four bytes is bit 4 of element i.
void AddFifthBits(const std::byte* from, uint8_t* codes) {
  for (uint32_t i = 0; i < kGroupCols; i += 8) {
    uint64_t code;
    std::memcpy(&code, codes + i, sizeof(code));
    // Byte k keeps bit k of the eight; adding 127 moves whatever it is to the top bit.
    const uint64_t spread = LoadAs<uint8_t>(from + i / 8) * kEachByte & 0x8040201008040201U;
    code |= (spread + 0x7F * kEachByte) >> 3 & 0x10 * kEachByte;
    std::memcpy(codes + i, &code, sizeof(code));
  }
}

// Blocks of 32 columns.
void ReadSmallBlock(DType dtype, const std::byte* block, uint8_t* codes) {
  const std::byte* at = block + (dtype == DType::kQ4_1 || dtype == DType::kQ5_1 ? 4 : 2);  // behind d, or d and m
  const std::byte* high = at;
  if (dtype == DType::kQ5_0 || dtype == DType::kQ5_1) at += 4;
  ReadNibbles(at, 0, 16, codes);
  ReadNibbles(at, 4, 16, codes + 16);
  if (at != high) AddFifthBits(high, codes);
}

// Blocks of 256 columns; `group` counts within the block.
void ReadSuperBlock(DType dtype, const std::byte* block, uint32_t group, uint8_t* codes) {
  if (dtype == DType::kQ6_K) {
    const uint32_t half = group / 4;
    const uint32_t k = group % 4;
    ReadNibbles(block + offsetof(BlockQ6_K, ql) + 64 * half + 32 * (k & 1), k < 2 ? 0 : 4, kGroupCols, codes);
    AddHighBits(block + offsetof(BlockQ6_K, qh) + 32 * half, 2 * k, 2, codes);
    return;
  }
  const size_t low = dtype == DType::kQ4_K ? offsetof(BlockQ4_K, qs) : offsetof(BlockQ5_K, qs);
  ReadNibbles(block + low + 32 * (group / 2), 4 * (group % 2), kGroupCols, codes);
  if (dtype == DType::kQ5_K) AddHighBits(block + offsetof(BlockQ5_K, qh), group, 1, codes);
}

// 32 codes of a bit stream, the lowest bits first.
void ReadStream(DType dtype, const std::byte* from, uint8_t* codes) {
  if (dtype == DType::kAffine4) {
    for (uint32_t i = 0; i < 16; ++i) {
      const auto pair = LoadAs<uint8_t>(from + i);
      codes[2 * i] = pair & 15U;
      codes[2 * i + 1] = static_cast<uint8_t>(pair >> 4);
    }
  } else if (dtype == DType::kAffine6) {
    for (uint32_t i = 0; i < 8; ++i, from += 3) {
      const uint32_t four =
          LoadAs<uint8_t>(from) | uint32_t{LoadAs<uint8_t>(from + 1)} << 8 | uint32_t{LoadAs<uint8_t>(from + 2)} << 16;
      for (uint32_t k = 0; k < 4; ++k) codes[4 * i + k] = static_cast<uint8_t>(four >> (6 * k) & 63U);
    }
  } else {
    for (uint32_t i = 0; i < kGroupCols; ++i) codes[i] = LoadAs<uint8_t>(from + i) ^ 0x80U;  // q - 128
  }
}

}  // namespace

FileRow::FileRow(const FileMatrix& file, uint64_t row)
    : dtype_(file.dtype),
      blocks_(file.codes + row * (file.cols / Info(file.dtype).block_elements) * Info(file.dtype).block_bytes),
      block_bytes_(Info(file.dtype).block_bytes) {
  if (!IsAffine(dtype_)) return;
  number_bytes_ = NumberBytes(file.scale_dtype);
  const size_t first = row * (file.cols / file.group) * number_bytes_;
  scales_ = file.scales + first;
  biases_ = file.biases + first;
}

void FileRow::ReadCodes(uint32_t group, uint8_t (&codes)[kGroupCols]) const {
  const std::byte* small = blocks_ + size_t{group} * block_bytes_;
  const std::byte* super = blocks_ + size_t{group / kSuperGroups} * block_bytes_;
  switch (dtype_) {
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
      return ReadSmallBlock(dtype_, small, codes);
    case DType::kQ8_0:
      std::memcpy(codes, small + offsetof(BlockQ8_0, qs), kGroupCols);
      return;
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K:
      return ReadSuperBlock(dtype_, super, group % kSuperGroups, codes);
    case DType::kAffine4:
    case DType::kAffine6:
    case DType::kAffine8:
      return ReadStream(dtype_, small, codes);
    default:
      CHECK(false, "float types have no codes");
  }
}

FileScales FileRow::Scales(uint32_t block) const {
  if (IsAffine(dtype_)) {
    const size_t at = size_t{block} * number_bytes_;
    return {.scale = scales_ + at, .bias = biases_ + at};
  }
  const std::byte* from = blocks_ + size_t{block} * block_bytes_;
  if (dtype_ == DType::kQ6_K) return {.scale = from + offsetof(BlockQ6_K, d), .bias = nullptr};
  const bool alone = dtype_ == DType::kQ4_0 || dtype_ == DType::kQ5_0 || dtype_ == DType::kQ8_0;
  return {.scale = from, .bias = alone ? nullptr : from + 2};  // d first, then m or dmin
}

SecondLevel FileRow::ReadSecondLevel(uint32_t block) const {
  static_assert(offsetof(BlockQ4_K, scales) == offsetof(BlockQ5_K, scales));
  uint8_t packed[12];
  std::memcpy(packed, blocks_ + size_t{block} * block_bytes_ + offsetof(BlockQ4_K, scales), sizeof(packed));
  SecondLevel out;
  for (uint32_t j = 0; j < 4; ++j) {
    out.scales[j] = packed[j] & 63U;
    out.minima[j] = packed[j + 4] & 63U;
    out.scales[j + 4] = static_cast<uint8_t>((packed[j + 8] & 15U) | (packed[j] >> 6) << 4);
    out.minima[j + 4] = static_cast<uint8_t>(packed[j + 8] >> 4 | (packed[j + 4] >> 6) << 4);
  }
  return out;
}

const std::byte* FileRow::HalfScales(uint32_t block) const {
  return blocks_ + size_t{block} * block_bytes_ + offsetof(BlockQ6_K, scales);
}

}  // namespace millrace::kernels
