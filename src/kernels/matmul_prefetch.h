// How weights are prefetched, for the x86 matrix products. Included only by files that are compiled for one instruction set, each of which
// gets its own copy.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>

namespace millrace::kernels {
namespace {

// How far ahead of the loads weights are prefetched: about the latency of memory at full bandwidth.
constexpr size_t kPrefetchBytes = 2048;
// Two short strips that are read side by side: the next two instead, for what lies 2 KiB ahead of one is the other.
constexpr size_t kMaxPrefetchBytes = 16384;

template <int kStrips>
size_t PrefetchDistance(size_t strip_bytes) {
  const size_t next = strip_bytes * kStrips;
  return kStrips == 1 || next > kMaxPrefetchBytes ? kPrefetchBytes : next;
}

// kBytes of what lies ahead; for each piece, so that consecutive pieces leave no line out.
template <size_t kBytes>
[[gnu::always_inline]] inline void Prefetch(const std::byte* ahead) {
  for (size_t at = 0; at < kBytes; at += 64) _mm_prefetch(ahead + at, _MM_HINT_T0);
}

}  // namespace
}  // namespace millrace::kernels

#endif  // __x86_64__
