// Which sequences a device can sample for by itself, and what it is told.
#pragma once

#include "engine/sequence.h"
#include "model/model_runner.h"

namespace millrace::engine {

// True when nothing but temperature and truncation decides: no penalties or biases, no tokens that may not come yet, no log-probabilities.
bool DrawsOnDevice(const Sequence& sequence);

// For the sequence's next token.
model::DeviceSampling DeviceSamplingOf(const Sequence& sequence);

}  // namespace millrace::engine
