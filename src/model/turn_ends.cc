#include "model/turn_ends.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace millrace::model {

namespace {
constexpr std::array<std::string_view, 8> kTurnEnds = {"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>",
                                                       "<|end|>",    "<end_of_turn>", "<|eot|>",    "<|end_of_text|>"};
}  // namespace

void AddTurnEnds(text::TokenizerSpec& spec) {
  auto& ends = spec.end_of_sequence;
  for (size_t id = 0; id < spec.token_types.size(); ++id) {
    const text::TokenType type = spec.token_types[id];
    const bool special = type == text::TokenType::kControl || type == text::TokenType::kUserDefined;
    if (special && std::find(kTurnEnds.begin(), kTurnEnds.end(), spec.tokens[id]) != kTurnEnds.end()) {
      ends.push_back(static_cast<TokenId>(id));
    }
  }
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
}

}  // namespace millrace::model
