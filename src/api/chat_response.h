// Answers of /v1/chat/completions: the whole reply, and the chunks of a streamed one. Pure functions of their inputs: the same
// inputs give the same bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/error.h"
#include "base/types.h"

namespace millrace::api {

// The same in every chunk of one answer.
struct ResponseHead {
  std::string id;       // "chatcmpl-…", unique
  int64_t created = 0;  // seconds since 1970
  std::string model;
  std::string system_fingerprint;
};

struct UsageCounts {
  uint64_t prompt_tokens = 0;
  uint64_t cached_tokens = 0;
  uint64_t completion_tokens = 0;
};

struct ScoredToken {
  std::string bytes;  // what the token stands for; not necessarily UTF-8
  float logprob = 0;
};

// Of one emitted token.
struct TokenScore {
  ScoredToken token;
  std::vector<ScoredToken> top;  // best first
};

// How long each hop took, in milliseconds; negative = not known, and written as null.
struct HopTimes {
  double parse_ms = -1;
  double template_ms = -1;
  double tokenise_ms = -1;
  double wait_ms = -1;     // in the gateway's own queue
  double ring_ms = -1;     // pushed by the gateway until taken by the worker
  double queue_ms = -1;    // taken until the first step that holds it
  double prefill_ms = -1;  // until the first token
  double decode_ms = -1;   // first token until last
  double write_ms = -1;    // last token sampled until the gateway wrote it
};

// What the engine did for this request. Under batching gb_s is the engine's rate over the request's decode window.
struct Timings {
  uint64_t prompt_tokens = 0;
  uint64_t cached_tokens = 0;  // of them; not computed, so not in the prompt's rate
  double prompt_ms = 0;
  uint64_t completion_tokens = 0;
  uint64_t decode_steps = 0;  // tokens after the first
  double decode_ms = 0;
  uint64_t decode_bytes = 0;  // read in the window, all sequences together; 0 = not known
  double roof_gb_s = 0;       // 0 = not measured yet
  double mean_batch = 0;
  HopTimes hops;
};

// What this server says beyond OpenAI's fields.
struct Report {
  uint64_t seed = 0;
  std::vector<std::string> ignored;
  Timings timings;
};

struct ChatAnswer {
  ResponseHead head;
  std::string content;  // UTF-8
  std::string_view finish_reason;
  std::optional<std::vector<TokenScore>> logprobs;
  UsageCounts usage;
  Report report;
};

// The body of a reply that is not streamed.
std::string WriteChat(const ChatAnswer& answer);

// Chunks of one streamed answer as JSON, without the framing of server-sent events. The order of a stream is Role, deltas,
// Finish, Usage if it was asked for. A stream that fails ends with ErrorBody instead.
class ChunkWriter {
 public:
  ChunkWriter(const ResponseHead& head, bool include_usage);

  // The chunk of a plain delta is prefix + JSON-escaped text + suffix.
  const std::string& delta_prefix() const { return delta_prefix_; }
  const std::string& delta_suffix() const { return delta_suffix_; }

  std::string Role() const;  // the only chunk with a role
  std::string Delta(std::string_view text, const std::vector<TokenScore>& logprobs) const;
  std::string Finish(std::string_view finish_reason, const Report& report) const;
  std::string Usage(const UsageCounts& usage) const;  // the trailer, with no choices

 private:
  std::string Chunk(std::string_view delta_and_more) const;

  std::string head_;  // up to and with "choices":[{"index":0,
  std::string tail_;  // after the choices
  std::string delta_prefix_;
  std::string delta_suffix_;
  std::string usage_head_;
};

}  // namespace millrace::api
