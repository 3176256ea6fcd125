#include "backend/cpu/vector_store.h"

#include <utility>

#include "base/float_bytes.h"

namespace millrace::backend_cpu {

Result<uint32_t> VectorStore::Add(std::span<const weights::TensorView> views) {
  StoredVector vector;
  for (const weights::TensorView& view : views) {
    if (!IsFloat(view.dtype)) {
      return Error(Code::kUnsupported, "tensor '{}': a vector of type {}: expected F32, F16 or BF16", view.name,
                   Info(view.dtype).name);
    }
    const size_t count = view.rows * view.cols;
    vector.values.reserve(vector.values.size() + count);
    for (size_t i = 0; i < count; ++i) {
      vector.values.push_back(LoadFloat(view.dtype, view.data.data() + i * Info(view.dtype).block_bytes) + view.offset);
    }
    vector.source_bytes += view.source_bytes();
  }
  if (vector.values.empty()) return Error(Code::kInvalidArgument, "a vector of no tensors");
  resident_bytes_ += vector.values.size() * sizeof(float);
  vectors_.push_back(std::move(vector));
  return static_cast<uint32_t>(vectors_.size() - 1);
}

}  // namespace millrace::backend_cpu
