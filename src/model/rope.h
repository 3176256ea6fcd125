// Frequencies of rotary position embeddings, from what model files say. In double precision, with functions whose bits do not depend
// on the machine (base/math.h).
#pragma once

#include <cstdint>
#include <vector>

namespace millrace::model {

// base^(-2 i / dims) for i in [0, dims / 2). `dims` is even.
std::vector<double> RopeFrequencies(uint32_t dims, double base);

}  // namespace millrace::model
