// Checksums and fingerprints. None of them is a defence against an adversary who can choose both sides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace millrace {

// CRC-32C (Castagnoli, RFC 3720 appendix B.4). `seed` chains calls: Crc32c(b, Crc32c(a)) == Crc32c(a + b).
uint32_t Crc32c(std::span<const std::byte> data, uint32_t seed = 0);

// FNV-1a, 64 bits; `seed` chains calls. For fingerprints of vocabularies and logits.
inline constexpr uint64_t kFnvSeed = 0xCBF29CE484222325ULL;
uint64_t Fnv1a(std::span<const std::byte> data, uint64_t seed = kFnvSeed);
inline uint64_t Fnv1a(std::string_view text, uint64_t seed = kFnvSeed) {
  return Fnv1a(std::as_bytes(std::span(text.data(), text.size())), seed);
}

}  // namespace millrace
