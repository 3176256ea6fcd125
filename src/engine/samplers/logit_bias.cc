#include "engine/samplers/chain.h"

namespace millrace::engine {

const ChainStep kLogitBiasStep = {
    .name = "logit_bias",
    .stage = Stage::kEdit,
    .wanted = [](const StepInput& input) { return !input.params.logit_bias.empty(); },
    .apply =
        [](const StepInput& input, Row& row) {
          const std::span<float> logits = row.Edit();
          for (const auto& [id, bias] : input.params.logit_bias) logits[static_cast<size_t>(id)] += bias;
        },
};

}  // namespace millrace::engine
