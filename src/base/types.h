// The words that every layer shares: ids, sampling parameters, why a sequence ended.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

using TokenId = int32_t;     // index into the vocabulary, >= 0; -1 where a token is absent
using RequestId = uint64_t;  // unique within one gateway process, never 0

inline constexpr TokenId kNoToken = -1;
inline constexpr int kMaxTopLogprobs = 20;
inline constexpr int kMaxLogitBias = 1024;
inline constexpr int kMaxStopTokens = 64;

enum class FinishReason : uint8_t {
  kNone = 0,    // still running
  kStop = 1,    // an end-of-sequence or stop token, or a stop string
  kLength = 2,  // max_tokens or the context length
  kCancelled = 3,
  kError = 4,
};

std::string_view FinishReasonName(FinishReason reason);  // "stop", "length", "cancelled", "error", ""

// How the next token is chosen. The order of the chain is: logit bias, penalties, temperature, top-k, top-p, min-p.
// Defaults switch every step off except plain sampling at temperature 1.
struct SamplingParams {
  float temperature = 1.0F;         // [0, 100]; 0 = greedy, ties to the lowest id
  int32_t top_k = 0;                // 0 = off
  float top_p = 1.0F;               // (0, 1]
  float min_p = 0.0F;               // [0, 1]
  float repetition_penalty = 1.0F;  // (0, 10], over prompt and output
  float presence_penalty = 0.0F;    // [-2, 2], over output
  float frequency_penalty = 0.0F;   // [-2, 2], over output
  uint64_t seed = 0;                // key of the counter-based generator together with choice and position
  int32_t top_logprobs = -1;        // -1 = no logprobs; 0 = the chosen token's; n = also the n best
  uint32_t max_tokens = std::numeric_limits<uint32_t>::max();
  uint32_t min_tokens = 0;  // end-of-sequence and stop tokens are not chosen before
  bool ignore_eos = false;
  std::vector<std::pair<TokenId, float>> logit_bias;  // at most kMaxLogitBias
  std::vector<TokenId> stop_tokens;                   // beside the model's own; at most kMaxStopTokens
};

}  // namespace millrace
