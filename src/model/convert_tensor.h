// The work of a conversion: each planned tensor read, encoded and given to a writer a few rows at a time, with the error that it makes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/status.h"
#include "model/conversion.h"
#include "weights/safetensors_writer.h"

namespace millrace::model {

// What this layer cannot do itself: read a row of a matrix as floats, and use several threads.
struct ConversionTools {
  // The values of row `row` of `tensor`, `offset` left aside, as the engine means them. From any thread.
  std::function<void(const weights::TensorView& tensor, uint64_t row, float* out)> read_row;
  // Calls `work` for every index below `count`, in any order, from any threads.
  std::function<void(uint64_t count, const std::function<void(uint64_t)>& work)> for_each;
  // Elements of the tensor at hand that are done.
  std::function<void(uint64_t elements)> progress;
};

// Root mean square of (written - source) against that of the source, over all elements; 0 where the source is 0.
struct ConversionError {
  double error_squares = 0;
  double source_squares = 0;

  double relative_rms() const;
};

// Appends the entries of `tensor` to `writer`. kInvalidArgument for values that are not finite or that f16 does not hold, naming the tensor.
Result<ConversionError> ConvertTensor(const PlannedTensor& tensor, const ConversionTools& tools,
                                      weights::SafetensorsWriter& writer);

}  // namespace millrace::model
