// Sequence: one request on its way through the engine. Plain data; the scheduler moves it, the engine fills it.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "engine/sampler_state.h"
#include "model/model_runner.h"

namespace millrace::engine {

// What is asked for.
struct Request {
  RequestId id = 0;
  int32_t priority = 0;     // higher first
  int64_t deadline_ns = 0;  // on MonotonicNs; 0 = none
  SamplingParams sampling = {};
  std::vector<TokenId> prompt = {};
};

// Monotonic nanoseconds; 0 = not passed.
struct Clocks {
  int64_t scheduled = 0;  // first step that holds tokens of the sequence
  int64_t first_token = 0;
  int64_t last_token = 0;
};

struct Usage {
  uint32_t prompt_tokens = 0;
  uint32_t cached_tokens = 0;
  uint32_t completion_tokens = 0;  // a token that stops the sequence is neither emitted nor counted
  uint64_t decode_steps = 0;       // steps after the first token
  int64_t prefill_ns = 0;          // scheduled until the first token
  int64_t decode_ns = 0;           // first token until the last step
  uint64_t decode_bytes = 0;       // read by the engine in the decode window, all sequences together
  double mean_batch = 0;           // decode rows per step in that window
};

// Sums over the engine's steps. A sequence keeps a copy from its first token: the difference at its end is its decode window.
struct StepTotals {
  uint64_t steps = 0;
  uint64_t decode_rows = 0;
  uint64_t prefill_tokens = 0;
  uint64_t weight_bytes = 0;
  uint64_t kv_bytes = 0;
  int64_t kernel_ns = 0;
  int64_t idle_ns = 0;
};

enum class SequenceState : uint8_t {
  kWaiting,   // holds no slot and no blocks
  kRunning,   // holds a slot and every block that it can ever need
  kFinished,  // holds neither; kept until its output is taken
};

inline constexpr uint32_t kNoSlot = 0xFFFFFFFFU;

struct Sequence {
  RequestId id = 0;
  int32_t priority = 0;
  int64_t deadline_ns = 0;
  SamplingParams sampling;
  uint64_t arrival = 0;  // order of submission

  std::vector<TokenId> tokens;  // prompt, then output
  uint32_t prompt_tokens = 0;
  uint32_t limit_tokens = 0;  // most that `tokens` can reach
  uint32_t computed = 0;      // leading tokens whose keys and values are stored, or will be by launched steps
  uint32_t pending = 0;       // tokens behind `tokens` that launched steps choose and nobody has seen yet
  uint32_t output_row = 0;    // while pending: output row of the latest launched step, which chooses the newest of them

  SequenceState state = SequenceState::kWaiting;
  uint32_t slot = kNoSlot;
  std::vector<uint32_t> blocks;   // of position / block_tokens
  uint32_t announced_blocks = 0;  // leading blocks that the runner was told of

  SamplerState sampler;
  std::vector<float> logprobs;       // one per output token, if asked for
  std::vector<model::TopToken> top;  // sampling.top_logprobs per output token

  FinishReason finish = FinishReason::kNone;
  Status error;            // failed exactly when finish is kError
  uint32_t published = 0;  // output tokens that were taken

  Clocks clocks;
  StepTotals window_begin;
  Usage usage;

  uint32_t output_tokens() const { return static_cast<uint32_t>(tokens.size()) - prompt_tokens; }
  uint32_t length() const { return static_cast<uint32_t>(tokens.size()) + pending; }
  // Decode: all tokens but the newest are stored.
  bool decoding() const { return computed + 1 == length() && length() > prompt_tokens; }
};

}  // namespace millrace::engine
