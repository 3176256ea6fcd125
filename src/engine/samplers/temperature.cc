#include "engine/samplers/chain.h"

namespace millrace::engine {

// Temperature 0 never comes here: the sampler takes the likeliest token.
const ChainStep kTemperatureStep = {
    .name = "temperature",
    .stage = Stage::kShape,
    .wanted = [](const StepInput& input) { return input.params.temperature != 1.0F; },
    .apply = [](const StepInput& input, Row& row) { row.set_temperature(input.params.temperature); },
};

}  // namespace millrace::engine
