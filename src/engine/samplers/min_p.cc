#include "engine/samplers/chain.h"

namespace millrace::engine {

const ChainStep kMinPStep = {
    .name = "min_p",
    .stage = Stage::kShape,
    .wanted = [](const StepInput& input) { return input.params.min_p > 0.0F; },
    .apply = [](const StepInput& input, Row& row) { row.KeepRatio(input.params.min_p); },
};

}  // namespace millrace::engine
