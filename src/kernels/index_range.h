// Half-open range of indices.
#pragma once

#include <cstddef>

namespace millrace::kernels {

struct IndexRange {
  size_t begin = 0;
  size_t end = 0;
};

}  // namespace millrace::kernels
