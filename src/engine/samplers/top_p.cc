#include "engine/samplers/chain.h"

namespace millrace::engine {

// The share is of what top-k left, as in every engine that users come from.
const ChainStep kTopPStep = {
    .name = "top_p",
    .stage = Stage::kShape,
    .wanted = [](const StepInput& input) { return input.params.top_p < 1.0F; },
    .apply = [](const StepInput& input, Row& row) { row.KeepShare(static_cast<double>(input.params.top_p)); },
};

}  // namespace millrace::engine
