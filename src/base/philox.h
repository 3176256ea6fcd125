// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
// The same (key, counter) gives the same four words everywhere and in any order: that is why sampling does not depend on
// batching.
#pragma once

#include <array>
#include <cstdint>

namespace millrace {

constexpr std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = 0xD2511F53ULL * counter[0];
    const uint64_t b = 0xCD9E8D57ULL * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9U;
    key[1] += 0xBB67AE85U;
  }
  return counter;
}

// Uniform in [0, 1) with 24 bits, keyed by (seed, choice, position).
constexpr float PhiloxUniform(uint64_t seed, uint32_t choice, uint64_t position) {
  const auto words = Philox({static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), choice, 0},
                            {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return static_cast<float>(words[0] >> 8) * 0x1p-24F;
}

}  // namespace millrace
