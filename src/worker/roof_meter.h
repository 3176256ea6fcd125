// RoofMeter: how fast the engine's threads can read as many bytes as one token needs, measured in slices of a few milliseconds so that
// whoever measures in idle time can stop at once when work comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"
#include "os/mapping.h"

namespace millrace::worker {

class RoofMeter {
 public:
  static constexpr size_t kSliceBytes = size_t{16} << 20;
  static constexpr int kWarmUpPasses = 1;
  static constexpr int kPasses = 7;

  // `bytes` is rounded up to whole 64-byte lines. The references outlive the meter.
  RoofMeter(kernels::ThreadPool& pool, const kernels::KernelTable& kernels, uint64_t bytes);

  // Does the next slice; nothing once done. A failed Status (no memory for the buffer) ends the measurement.
  Status Slice();
  bool done() const { return done_; }

  // Once done: bytes read per second in the median pass / 10^9; 0 when it failed.
  double gb_s() const { return gb_s_; }
  uint64_t buffer_bytes() const { return bytes_; }
  uint32_t threads() const { return pool_->threads(); }

 private:
  void FillSlice();
  void ReadSlice();
  void FinishPass();

  kernels::ThreadPool* pool_;
  const kernels::KernelTable* kernels_;
  uint64_t bytes_;
  HugeBuffer buffer_;  // freed when done
  size_t filled_ = 0;
  size_t read_ = 0;      // of this pass
  int64_t pass_ns_ = 0;  // of this pass
  std::vector<int64_t> passes_;
  uint64_t sum_ = 0;  // keeps the reads from being left out
  double gb_s_ = 0;
  bool done_ = false;
};

}  // namespace millrace::worker
