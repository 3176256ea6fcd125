// What the sampler remembers of one sequence. It follows from the tokens and the parameters alone, so that it can be rebuilt from
// them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"

namespace millrace::engine {

struct TokenCount {
  TokenId id = kNoToken;
  uint32_t in_output = 0;  // 0: only in the prompt
};

class SamplerState {
 public:
  SamplerState() = default;

  // `limit_tokens`: most tokens that the sequence can reach; nothing allocates later.
  SamplerState(const SamplingParams& params, std::span<const TokenId> end_of_sequence, std::span<const TokenId> prompt,
               uint32_t limit_tokens);

  // A token was appended to the output.
  void Append(TokenId token);

  bool IsStop(TokenId token) const;
  std::span<const TokenId> stops() const { return stops_; }   // ascending
  std::span<const TokenCount> seen() const { return seen_; }  // ascending ids; empty while no penalty needs it
  uint32_t emitted() const { return emitted_; }

 private:
  bool counts_ = false;
  uint32_t emitted_ = 0;
  std::vector<TokenId> stops_;  // the request's stop tokens, and the model's unless ignore_eos
  std::vector<TokenCount> seen_;
};

// True when some penalty of `params` does anything.
bool HasPenalties(const SamplingParams& params);

}  // namespace millrace::engine
