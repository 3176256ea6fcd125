// Where a decoder's weights come from: tensors by role, checked against the configuration. A ModelFile is one; tests make their own.
#pragma once

#include <concepts>
#include <cstdint>

#include "model/config.h"
#include "weights/tensor_view.h"

namespace millrace::model {

// Tensor is asked only for what Has confirms or the configuration demands; Expert for one expert's part of such a tensor.
template <typename S>
concept WeightSource = requires(const S& source, Role role, uint32_t layer, uint32_t expert) {
  { source.config() } -> std::same_as<const ModelConfig&>;
  { source.Has(role, layer) } -> std::same_as<bool>;
  { source.Tensor(role, layer) } -> std::same_as<weights::TensorView>;
  { source.Expert(role, layer, expert) } -> std::same_as<weights::TensorView>;
};

}  // namespace millrace::model
