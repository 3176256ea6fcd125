// Memory of a fixed size, laid out once when a model is loaded, so that no step allocates.
#pragma once

#include <cstddef>
#include <utility>

#include "base/status.h"
#include "os/mapping.h"

namespace millrace::backend_cpu {

// Two passes over the same code: the first (on an empty Scratch) only counts, the second hands out memory.
class Scratch {
 public:
  static constexpr size_t kAlignment = 64;

  // nullptr while counting.
  template <typename T>
  T* Take(size_t count) {
    const size_t at = used_;
    used_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return buffer_.size() == 0 ? nullptr : reinterpret_cast<T*>(buffer_.data() + at);
  }

  // Ends the counting.
  Status Commit() {
    ASSIGN_OR_RETURN(buffer_, HugeBuffer::Allocate(used_));
    used_ = 0;
    return {};
  }

  size_t size() const { return buffer_.size(); }

 private:
  HugeBuffer buffer_;
  size_t used_ = 0;
};

}  // namespace millrace::backend_cpu
