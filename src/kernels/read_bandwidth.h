// The roof: how fast the threads of a pool can read memory, measured with a loop that only sums 64-byte lines.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/status.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"

namespace millrace::kernels {

struct ReadBandwidth {
  size_t buffer_bytes = 0;
  double best_gb_s = 0;  // 1 GB = 10^9 bytes
  double median_gb_s = 0;
  uint32_t passes = 0;
};

// Reads one buffer of `bytes` (rounded up to whole lines; 2 MiB pages where the system grants them) again and again: at least
// five timed passes, and until about 100 ms have gone. Every pass is divided among the threads into contiguous shares, as weights
// are. Blocks; fails when the buffer cannot be had.
Result<ReadBandwidth> MeasureReadBandwidth(ThreadPool& pool, const KernelTable& kernels, size_t bytes);

// The same over existing memory, aligned to 64 and a multiple of 64 bytes long, already written to.
ReadBandwidth MeasureReadBandwidthOf(ThreadPool& pool, const KernelTable& kernels, std::span<const std::byte> buffer);

// 8 MB, doubling up to 4 GB, but no more than `limit_bytes`; one allocation of the largest size.
Result<std::vector<ReadBandwidth>> MeasureReadCurve(ThreadPool& pool, const KernelTable& kernels, size_t limit_bytes);

}  // namespace millrace::kernels
