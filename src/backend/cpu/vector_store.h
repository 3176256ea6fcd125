// VectorStore: norm weights and biases, kept as floats whatever the file holds.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "base/status.h"
#include "weights/tensor_view.h"

namespace millrace::backend_cpu {

struct StoredVector {
  std::vector<float> values;
  uint64_t source_bytes = 0;  // as in the file: what a step is said to read
};

// Used by one thread; what Get returns stays valid and unchanged as long as the store lives.
class VectorStore {
 public:
  // One or more vectors, one after the other, each with its TensorView::offset added; returns the index for Get. kUnsupported names one
  // that is not of F32, F16 or BF16.
  Result<uint32_t> Add(std::span<const weights::TensorView> views);

  const StoredVector& Get(uint32_t index) const { return vectors_[index]; }
  uint64_t resident_bytes() const { return resident_bytes_; }

 private:
  std::deque<StoredVector> vectors_;
  uint64_t resident_bytes_ = 0;
};

}  // namespace millrace::backend_cpu
