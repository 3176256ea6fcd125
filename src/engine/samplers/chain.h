// The rows of the sampler chain. A step is one file of this folder and one row of kChain in sampler.cc, whose order is fixed:
// logit bias, penalties, stop tokens too early, temperature, top-k, top-p, min-p.
#pragma once

#include <cstdint>

#include "base/types.h"
#include "engine/sampler_state.h"
#include "engine/samplers/row.h"

namespace millrace::engine {

struct StepInput {
  const SamplingParams& params;
  const SamplerState& state;
};

enum class Stage : uint8_t {
  kEdit,   // changes logits; also for greedy choice
  kShape,  // temperature and truncation; only where a token is drawn
};

struct ChainStep {
  const char* name;
  Stage stage;
  bool (*wanted)(const StepInput& input);  // false: the step would change nothing
  void (*apply)(const StepInput& input, Row& row);
};

extern const ChainStep kLogitBiasStep;
extern const ChainStep kPenaltiesStep;
extern const ChainStep kMinTokensStep;
extern const ChainStep kTemperatureStep;
extern const ChainStep kTopKStep;
extern const ChainStep kTopPStep;
extern const ChainStep kMinPStep;

}  // namespace millrace::engine
