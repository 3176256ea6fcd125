#include "engine/samplers/chain.h"

namespace millrace::engine {

const ChainStep kTopKStep = {
    .name = "top_k",
    .stage = Stage::kShape,
    .wanted = [](const StepInput& input) { return input.params.top_k > 0; },
    .apply =
        [](const StepInput& input, Row& row) {
          const auto count = static_cast<size_t>(input.params.top_k);
          if (count < row.logits().size()) row.KeepTop(count);  // keeping everything would only be slower
        },
};

}  // namespace millrace::engine
