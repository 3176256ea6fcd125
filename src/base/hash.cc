#include "base/hash.h"

#include <array>

namespace millrace {

namespace {

constexpr std::array<uint32_t, 256> MakeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
    table[i] = crc;
  }
  return table;
}

uint32_t CrcTable(std::span<const std::byte> data, uint32_t crc) {
  static constexpr std::array<uint32_t, 256> kTable = MakeCrcTable();
  for (const std::byte b : data) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<uint32_t>(b)) & 0xFFU];
  return crc;
}

#if defined(__x86_64__)
// The instruction computes the same polynomial eight bytes at a time; ring records are checked with it on every hop.
__attribute__((target("sse4.2"))) uint32_t CrcHardware(std::span<const std::byte> data, uint32_t crc) {
  uint64_t wide = crc;
  while (data.size() >= 8) {
    uint64_t word;
    __builtin_memcpy(&word, data.data(), 8);
    wide = __builtin_ia32_crc32di(wide, word);
    data = data.subspan(8);
  }
  crc = static_cast<uint32_t>(wide);
  for (const std::byte b : data) crc = __builtin_ia32_crc32qi(crc, static_cast<uint8_t>(b));
  return crc;
}
#endif

}  // namespace

uint32_t Crc32c(std::span<const std::byte> data, uint32_t seed) {
#if defined(__x86_64__)
  static const bool hardware = __builtin_cpu_supports("sse4.2");
  if (hardware) return ~CrcHardware(data, ~seed);
#endif
  return ~CrcTable(data, ~seed);
}

uint64_t Fnv1a(std::span<const std::byte> data, uint64_t seed) {
  for (const std::byte b : data) seed = (seed ^ static_cast<uint64_t>(b)) * 0x100000001B3ULL;
  return seed;
}

}  // namespace millrace
