#include "backend/cpu/vector_store.h"

#include <cstring>
#include <utility>

#include "base/half.h"

namespace millrace::backend_cpu {
namespace {

template <typename T>
T Load(const std::byte* data, size_t index) {
  T value;
  std::memcpy(&value, data + index * sizeof(T), sizeof(T));
  return value;
}

float ElementOf(const weights::TensorView& view, size_t index) {
  switch (view.dtype) {
    case DType::kF16:
      return HalfToFloat(Load<uint16_t>(view.data.data(), index));
    case DType::kBF16:
      return Bf16ToFloat(Load<uint16_t>(view.data.data(), index));
    default:
      return Load<float>(view.data.data(), index);
  }
}

}  // namespace

Result<uint32_t> VectorStore::Add(std::span<const weights::TensorView> views) {
  StoredVector vector;
  for (const weights::TensorView& view : views) {
    if (!IsFloat(view.dtype)) {
      return Error(Code::kUnsupported, "tensor '{}': a vector of type {}: expected F32, F16 or BF16", view.name,
                   Info(view.dtype).name);
    }
    const size_t count = view.rows * view.cols;
    vector.values.reserve(vector.values.size() + count);
    for (size_t i = 0; i < count; ++i) vector.values.push_back(ElementOf(view, i) + view.offset);
    vector.source_bytes += view.source_bytes();
  }
  if (vector.values.empty()) return Error(Code::kInvalidArgument, "a vector of no tensors");
  resident_bytes_ += vector.values.size() * sizeof(float);
  vectors_.push_back(std::move(vector));
  return static_cast<uint32_t>(vectors_.size() - 1);
}

}  // namespace millrace::backend_cpu
