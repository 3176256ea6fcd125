// Frequencies of rotary position embeddings, from what model files say. In double precision, with functions whose bits do not depend
// on the machine (base/math.h). The formulas are those of transformers (modeling_rope_utils.py), named after its rope types.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace millrace::model {

// Radians per position of each rotated pair.
using Frequencies = std::vector<double>;

// base^(-2 i / dims) for i in [0, dims / 2). `dims` is even.
Frequencies RopeFrequencies(uint32_t dims, double base);

// "linear", and the tables of factors that files bring along (longrope; rope_freqs of GGUF): each frequency over its factor.
Frequencies DividedBy(Frequencies frequencies, double factor);
Frequencies DividedBy(Frequencies frequencies, std::span<const double> factors);  // as many as frequencies

// "llama3": wavelengths above original_context / low are stretched by `factor`, those below original_context / high stay, those between
// are interpolated.
struct Llama3Scaling {
  double factor = 8;
  double low_frequency_factor = 1;
  double high_frequency_factor = 4;
  double original_context = 8192;
};
Frequencies ScaledAsLlama3(Frequencies frequencies, const Llama3Scaling& scaling);

// "yarn": pairs that turn less than beta_slow times in the original context are stretched by `factor`, those that turn more than
// beta_fast times stay, and a ramp over the pair's index lies between.
struct YarnScaling {
  double base = 10000;
  double factor = 1;
  double original_context = 4096;
  double beta_fast = 32;
  double beta_slow = 1;
  bool truncate = true;  // the ramp begins and ends at whole indices
};
Frequencies ScaledAsYarn(Frequencies frequencies, const YarnScaling& scaling);

// What queries and keys are multiplied by: 0.1 mscale ln(factor) + 1 above a factor of 1.
double YarnMagnitude(double factor, double mscale);
// "longrope": sqrt(1 + ln(factor) / ln(original_context)) above a factor of 1.
double LongRopeMagnitude(double factor, double original_context);

}  // namespace millrace::model
