#include <limits>

#include "engine/samplers/chain.h"

namespace millrace::engine {

// Stands where a mask stands in the chain: what may not be chosen is gone before anything is drawn, but after bias and penalties.
const ChainStep kMinTokensStep = {
    .name = "min_tokens",
    .stage = Stage::kEdit,
    .wanted =
        [](const StepInput& input) { return input.state.emitted() < input.params.min_tokens && !input.state.stops().empty(); },
    .apply =
        [](const StepInput& input, Row& row) {
          const std::span<float> logits = row.Edit();
          for (const TokenId id : input.state.stops()) logits[static_cast<size_t>(id)] = -std::numeric_limits<float>::infinity();
        },
};

}  // namespace millrace::engine
