#include "model/rope.h"

#include "base/math.h"

namespace millrace::model {

std::vector<double> RopeFrequencies(uint32_t dims, double base) {
  std::vector<double> frequencies(dims / 2);
  for (uint32_t i = 0; i < frequencies.size(); ++i) frequencies[i] = Exp(-2.0 * i / dims * Log(base));
  return frequencies;
}

}  // namespace millrace::model
