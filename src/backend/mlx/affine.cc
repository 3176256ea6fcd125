#include "backend/mlx/affine.h"

#include <array>
#include <cstring>

#include "base/check.h"
#include "base/half.h"

namespace millrace::backend_mlx {
namespace {

constexpr uint32_t kMaxBlock = 256;
constexpr uint32_t kMaxGroups = 16;

// One block, taken apart: element i is scales[i / group] * codes[i] + biases[i / group].
struct Block {
  uint32_t elements = 0;
  uint32_t group = 32;
  std::array<uint8_t, kMaxBlock> codes{};
  std::array<float, kMaxGroups> scales{};
  std::array<float, kMaxGroups> biases{};
};

template <typename T>
T Read(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Low nibbles are the first half of the block, high nibbles the second.
void Nibbles(const uint8_t (&qs)[16], Block& out) {
  for (uint32_t i = 0; i < 16; ++i) {
    out.codes[i] = qs[i] & 15;
    out.codes[16 + i] = static_cast<uint8_t>(qs[i] >> 4);
  }
}

void FifthBits(const uint8_t (&qh)[4], Block& out) {
  for (uint32_t i = 0; i < 32; ++i) out.codes[i] |= static_cast<uint8_t>(((qh[i / 8] >> (i % 8)) & 1) << 4);
}

void Simple(float scale, float bias, Block& out) {
  out.elements = 32;
  out.group = 32;
  out.scales[0] = scale;
  out.biases[0] = bias;
}

// The 6-bit scales and minima of Q4_K and Q5_K; a product of a half and six bits is exact in a float.
void TwoLevelScales(float d, float dmin, const uint8_t (&packed)[12], Block& out) {
  out.elements = 256;
  out.group = 32;
  for (uint32_t j = 0; j < 8; ++j) {
    const int scale = j < 4 ? packed[j] & 63 : (packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4);
    const int minimum = j < 4 ? packed[j + 4] & 63 : (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4);
    out.scales[j] = d * static_cast<float>(scale);
    out.biases[j] = -(dmin * static_cast<float>(minimum));
  }
}

template <size_t N>
void PairedNibbles(const uint8_t (&qs)[N], Block& out) {
  for (uint32_t pair = 0; pair < 4; ++pair) {
    for (uint32_t i = 0; i < 32; ++i) {
      out.codes[64 * pair + i] = qs[32 * pair + i] & 15;
      out.codes[64 * pair + 32 + i] = static_cast<uint8_t>(qs[32 * pair + i] >> 4);
    }
  }
}

void TakeApart(const BlockQ4_0& in, Block& out) {
  const float d = HalfToFloat(in.d);
  Simple(d, -8.0F * d, out);
  Nibbles(in.qs, out);
}

void TakeApart(const BlockQ4_1& in, Block& out) {
  Simple(HalfToFloat(in.d), HalfToFloat(in.m), out);
  Nibbles(in.qs, out);
}

void TakeApart(const BlockQ5_0& in, Block& out) {
  const float d = HalfToFloat(in.d);
  Simple(d, -16.0F * d, out);
  Nibbles(in.qs, out);
  FifthBits(in.qh, out);
}

void TakeApart(const BlockQ5_1& in, Block& out) {
  Simple(HalfToFloat(in.d), HalfToFloat(in.m), out);
  Nibbles(in.qs, out);
  FifthBits(in.qh, out);
}

void TakeApart(const BlockQ8_0& in, Block& out) {
  const float d = HalfToFloat(in.d);
  Simple(d, -128.0F * d, out);
  for (uint32_t i = 0; i < 32; ++i) out.codes[i] = static_cast<uint8_t>(in.qs[i] + 128);
}

void TakeApart(const BlockQ4_K& in, Block& out) {
  TwoLevelScales(HalfToFloat(in.d), HalfToFloat(in.dmin), in.scales, out);
  PairedNibbles(in.qs, out);
}

void TakeApart(const BlockQ5_K& in, Block& out) {
  TwoLevelScales(HalfToFloat(in.d), HalfToFloat(in.dmin), in.scales, out);
  PairedNibbles(in.qs, out);
  for (uint32_t j = 0; j < 8; ++j) {
    for (uint32_t i = 0; i < 32; ++i) out.codes[32 * j + i] |= static_cast<uint8_t>(((in.qh[i] >> j) & 1) << 4);
  }
}

void TakeApart(const BlockQ6_K& in, Block& out) {
  const float d = HalfToFloat(in.d);
  out.elements = 256;
  out.group = 16;
  for (uint32_t j = 0; j < 16; ++j) {
    out.scales[j] = d * static_cast<float>(in.scales[j]);
    out.biases[j] = -32.0F * out.scales[j];
  }
  for (uint32_t half = 0; half < 2; ++half) {
    for (uint32_t k = 0; k < 4; ++k) {
      for (uint32_t l = 0; l < 32; ++l) {
        const uint8_t low = in.ql[64 * half + 32 * (k & 1) + l];
        const int nibble = k < 2 ? low & 15 : low >> 4;
        const int high = (in.qh[32 * half + l] >> (2 * k)) & 3;
        out.codes[128 * half + 32 * k + l] = static_cast<uint8_t>(nibble | (high << 4));
      }
    }
  }
}

void TakeApart(DType dtype, const std::byte* from, Block& out) {
  switch (dtype) {
    case DType::kQ4_0:
      return TakeApart(Read<BlockQ4_0>(from), out);
    case DType::kQ4_1:
      return TakeApart(Read<BlockQ4_1>(from), out);
    case DType::kQ5_0:
      return TakeApart(Read<BlockQ5_0>(from), out);
    case DType::kQ5_1:
      return TakeApart(Read<BlockQ5_1>(from), out);
    case DType::kQ8_0:
      return TakeApart(Read<BlockQ8_0>(from), out);
    case DType::kQ4_K:
      return TakeApart(Read<BlockQ4_K>(from), out);
    case DType::kQ5_K:
      return TakeApart(Read<BlockQ5_K>(from), out);
    case DType::kQ6_K:
      return TakeApart(Read<BlockQ6_K>(from), out);
    default:
      CHECK(false, "no block of this type");
  }
}

// Codes behind each other, the lowest bit first; 32 codes fill `bits` words.
void PackCodes(std::span<const uint8_t> codes, uint32_t bits, std::vector<uint32_t>& out) {
  uint64_t buffer = 0;
  uint32_t filled = 0;
  for (const uint8_t code : codes) {
    buffer |= uint64_t{code} << filled;
    filled += bits;
    if (filled < 32) continue;
    out.push_back(static_cast<uint32_t>(buffer));
    buffer >>= 32;
    filled -= 32;
  }
}

}  // namespace

std::optional<AffineForm> AffineFormOf(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ4_K:
      return AffineForm{.bits = 4, .group = 32};
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ5_K:
      return AffineForm{.bits = 5, .group = 32};
    case DType::kQ8_0:
      return AffineForm{.bits = 8, .group = 32};
    default:
      return std::nullopt;
  }
}

void AppendAffine(DType dtype, std::span<const std::byte> data, uint64_t rows, uint64_t cols, AffineMatrix& out) {
  out.form = AffineFormOf(dtype).value();
  const DTypeInfo& info = Info(dtype);
  out.codes.reserve(out.codes.size() + rows * cols * out.form.bits / 32);
  out.scales.reserve(out.scales.size() + rows * cols / out.form.group);
  out.biases.reserve(out.biases.size() + rows * cols / out.form.group);
  Block block;
  for (size_t at = 0; at < data.size(); at += info.block_bytes) {
    TakeApart(dtype, data.data() + at, block);
    PackCodes(std::span(block.codes).first(block.elements), out.form.bits, out.codes);
    const auto groups = static_cast<ptrdiff_t>(block.elements / block.group);
    out.scales.insert(out.scales.end(), block.scales.begin(), block.scales.begin() + groups);
    out.biases.insert(out.biases.end(), block.biases.begin(), block.biases.begin() + groups);
  }
}

void AppendFloats(DType dtype, std::span<const std::byte> data, std::vector<float>& out) {
  const DTypeInfo& info = Info(dtype);
  out.reserve(out.size() + data.size() / info.block_bytes * info.block_elements);
  Block block;
  for (size_t at = 0; at < data.size(); at += info.block_bytes) {
    const std::byte* const from = data.data() + at;
    if (dtype == DType::kF32) {
      out.push_back(Read<float>(from));
    } else if (dtype == DType::kF16) {
      out.push_back(HalfToFloat(Read<uint16_t>(from)));
    } else if (dtype == DType::kBF16) {
      out.push_back(Bf16ToFloat(Read<uint16_t>(from)));
    } else {
      TakeApart(dtype, from, block);
      for (uint32_t i = 0; i < block.elements; ++i) {
        out.push_back(block.scales[i / block.group] * static_cast<float>(block.codes[i]) + block.biases[i / block.group]);
      }
    }
  }
}

}  // namespace millrace::backend_mlx
