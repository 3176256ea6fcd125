#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/math.h"

namespace millrace::model {

namespace {

constexpr double kTwoPi = 0x1.921fb54442d18p+2;

// The index of the pair that turns `rotations` times in the original context; not whole.
double PairThatTurns(double rotations, uint32_t dims, const YarnScaling& scaling) {
  return dims * Log(scaling.original_context / (rotations * kTwoPi)) / (2 * Log(scaling.base));
}

}  // namespace

Frequencies RopeFrequencies(uint32_t dims, double base) {
  Frequencies frequencies(dims / 2);
  for (uint32_t i = 0; i < frequencies.size(); ++i) frequencies[i] = Exp(-2.0 * i / dims * Log(base));
  return frequencies;
}

Frequencies DividedBy(Frequencies frequencies, double factor) {
  for (double& frequency : frequencies) frequency /= factor;
  return frequencies;
}

Frequencies DividedBy(Frequencies frequencies, std::span<const double> factors) {
  CHECK(frequencies.size() == factors.size(), "each frequency has its factor");
  for (size_t i = 0; i < frequencies.size(); ++i) frequencies[i] /= factors[i];
  return frequencies;
}

Frequencies ScaledAsLlama3(Frequencies frequencies, const Llama3Scaling& scaling) {
  const double low = scaling.low_frequency_factor;
  const double high = scaling.high_frequency_factor;
  for (double& frequency : frequencies) {
    const double turns = scaling.original_context * frequency / kTwoPi;  // in the original context
    if (turns > high) continue;
    const double kept = turns < low ? 0.0 : (turns - low) / (high - low);
    frequency = (1 - kept) * frequency / scaling.factor + kept * frequency;
  }
  return frequencies;
}

Frequencies ScaledAsYarn(Frequencies frequencies, const YarnScaling& scaling) {
  const auto dims = static_cast<uint32_t>(2 * frequencies.size());
  double low = PairThatTurns(scaling.beta_fast, dims, scaling);
  double high = PairThatTurns(scaling.beta_slow, dims, scaling);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1.0);
  if (low == high) high += 0.001;  // as in transformers: no division by zero
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double stretched = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] / scaling.factor * stretched + frequencies[i] * (1 - stretched);
  }
  return frequencies;
}

double YarnMagnitude(double factor, double mscale) { return factor <= 1 ? 1.0 : 0.1 * mscale * Log(factor) + 1.0; }

double LongRopeMagnitude(double factor, double original_context) {
  return factor <= 1 ? 1.0 : std::sqrt(1 + Log(factor) / Log(original_context));
}

}  // namespace millrace::model
