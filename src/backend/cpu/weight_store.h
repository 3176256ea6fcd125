// WeightStore: the model's weights as the kernels want them, packed into huge pages while they are loaded.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "kernels/packed.h"
#include "kernels/thread_pool.h"
#include "os/mapping.h"
#include "weights/tensor_view.h"

namespace millrace::backend_cpu {

// One tensor of a stack: its rows begin at `row_offset` of the stack.
struct WeightSegment {
  kernels::PackedMatrix matrix;
  uint32_t row_offset = 0;
  uint64_t source_bytes = 0;  // as in the file
};

// One or more tensors of the same width, stacked by rows; each keeps its own form. A vector is always kF32, with its offset added.
struct StackedWeight {
  std::vector<WeightSegment> segments;
  uint32_t rows = 0;
  uint32_t cols = 0;
  uint64_t source_bytes = 0;    // as in the file: what a step is said to read
  bool quantised = false;       // some segment wants quantised activations
  bool full_precision = false;  // some segment wants float activations
};

// Used by one thread; what Get returns stays valid and unchanged as long as the store lives.
class WeightStore {
 public:
  // With `dequantise` everything is kept as f32.
  WeightStore(kernels::ThreadPool& pool, bool dequantise) : pool_(pool), dequantise_(dequantise) {}

  // Copies and packs on all threads of the pool, and returns the index for Get. kUnsupported names a tensor whose type or groups have no
  // kernel, kInvalidArgument a shape, kResourceExhausted missing memory.
  Result<uint32_t> Add(std::span<const weights::TensorView> views);

  const StackedWeight& Get(uint32_t index) const { return weights_[index]; }
  uint64_t resident_bytes() const { return resident_bytes_; }

 private:
  Result<kernels::PackedMatrix> Pack(const weights::TensorView& view);
  Result<std::byte*> Allocate(size_t bytes);

  kernels::ThreadPool& pool_;
  bool dequantise_;
  std::vector<StackedWeight> weights_;
  std::vector<HugeBuffer> chunks_;  // memory is handed out from the last one
  size_t chunk_used_ = 0;
  uint64_t resident_bytes_ = 0;
};

}  // namespace millrace::backend_cpu
