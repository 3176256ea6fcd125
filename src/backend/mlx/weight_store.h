// WeightStore: the model's weights as MLX arrays. Copies the bytes that our own readers have checked; MLX never sees a file.
#pragma once

#include <mlx/array.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "weights/tensor_view.h"

namespace millrace::backend_mlx {

// Rows of a matrix that share one form: [rows, cols] floats, or affine codes [rows, cols * bits / 32] with their scales.
struct MatrixPart {
  mlx::core::array data;
  std::optional<mlx::core::array> scales;  // [rows, cols / group]; absent for floats
  std::optional<mlx::core::array> biases;
  int bits = 0;
  int group = 0;
  int rows = 0;
};

// A vector (norm weights, biases) in f32, or a matrix that may be stacked from several tensors.
struct StoredWeight {
  std::optional<mlx::core::array> vector;  // [cols]
  std::vector<MatrixPart> parts;           // by rows
  int rows = 0;
  int cols = 0;
  uint64_t source_bytes = 0;  // as in the file: what a step is said to read
};

// Used by one thread; what Get returns stays valid and unchanged as long as the store lives. Throws what MLX throws.
class WeightStore {
 public:
  // `compute`: type of float matrices, of scales and of biases. float32 keeps every value.
  explicit WeightStore(mlx::core::Dtype compute) : compute_(compute) {}

  // Both give the index for Get. Neighbouring tensors of one form become one matrix; where many tensors of different forms would take
  // turns (experts), all become floats. kUnsupported names a tensor that MLX cannot hold.
  Result<uint32_t> AddMatrix(std::span<const weights::TensorView> views);
  Result<uint32_t> AddVector(std::span<const weights::TensorView> views);

  const StoredWeight& Get(uint32_t index) const { return weights_[index]; }
  uint64_t resident_bytes() const { return resident_bytes_; }
  // "Q4_1 converted to affine 4-bit without loss, Q6_K widened to float32": what was done to the file's types, for the log.
  std::string Describe() const;

 private:
  struct Form {
    int bits = 0;
    int group = 0;
    bool operator==(const Form&) const = default;
  };

  Result<Form> FormOf(const weights::TensorView& view) const;
  Result<std::vector<Form>> FormsOf(std::span<const weights::TensorView> views) const;
  MatrixPart TakeMatrix(std::span<const weights::TensorView> views, Form form) const;
  MatrixPart TakeAffine(const weights::TensorView& view, Form form) const;
  MatrixPart TakeFloats(const weights::TensorView& view) const;
  void Note(const weights::TensorView& view, Form form);
  uint32_t Keep(StoredWeight weight, std::span<const weights::TensorView> views);

  mlx::core::Dtype compute_;
  std::vector<StoredWeight> weights_;
  uint64_t resident_bytes_ = 0;
  std::map<DType, std::string> changes_;  // of the file's types
};

}  // namespace millrace::backend_mlx
