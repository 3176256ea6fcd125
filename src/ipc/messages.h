// Every message between the gateway and a worker, as plain structs. Frozen: docs/adr/0001-ring-messages.md. Byte layouts:
// docs/ring-format.md.
//
// Token ids cross the ring; text never does. Decoders check every field against its range: the other side is not trusted.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "ipc/ring.h"

namespace millrace::ipc {

inline constexpr uint32_t kProtocolVersion = 1;
inline constexpr uint32_t kMaxPromptTokens = 1U << 20;
inline constexpr uint32_t kMaxErrorBytes = 512;
inline constexpr uint32_t kMaxTokensPerEvent = 256;
inline constexpr uint32_t kMaxAttachFiles = 240;     // of one model; their descriptors travel in one packet
inline constexpr uint32_t kMaxAttachFileName = 255;  // bytes
inline constexpr uint32_t kMaxAttachName = 128;      // bytes of model_name
inline constexpr uint32_t kMaxAttachBytes = 16'384;  // of the whole message: what a control packet holds

enum class RecordType : uint16_t {
  // gateway -> worker
  kSubmitBegin = 1,
  kSubmitPart = 2,
  kSubmitEnd = 3,
  kCancel = 4,
  kShutdown = 5,
  // worker -> gateway
  kHello = 64,
  kLoading = 65,
  kTokens = 66,
  kFailed = 67,
  kRoof = 68,
};

// When each hop was passed, monotonic nanoseconds; 0 = not passed. The first five are stamped by the gateway, the rest by the
// worker.
struct HopClocks {
  int64_t received = 0;  // last byte of the request read
  int64_t parsed = 0;    // JSON checked
  int64_t rendered = 0;  // chat template applied
  int64_t tokenised = 0;
  int64_t submitted = 0;  // pushed into the ring
  int64_t drained = 0;    // taken out of the ring
  int64_t scheduled = 0;  // first step that holds tokens of this request
  int64_t first_token = 0;
  int64_t last_token = 0;
};

enum class SubmitOutput : uint8_t { kTokens = 0, kHidden = 1 };  // hidden states are reserved

// One request for one worker. Fields marked reserved are carried and checked, and refused by the worker while they are not
// honoured.
struct Submit {
  RequestId request = 0;
  uint64_t tenant = 0;           // fingerprint of who asks; for fair shares
  int32_t priority = 0;          // [-100, 100], higher first
  int64_t deadline_ns = 0;       // monotonic; 0 = none
  uint64_t supersede_group = 0;  // reserved; 0 = none
  uint64_t cache_salt = 0;       // reserved: requests of different salts share no cached prefix
  int32_t adapter = -1;          // reserved
  uint32_t emitted_tokens = 0;   // reserved: how many of `forced` a client has seen already (resume)
  uint32_t choices = 1;          // reserved above 1
  SubmitOutput output = SubmitOutput::kTokens;
  SamplingParams sampling;
  std::vector<TokenId> prompt;  // 1..kMaxPromptTokens
  std::vector<TokenId> forced;  // reserved: tokens that are taken instead of sampled ones
  HopClocks clocks;
};

struct Cancel {
  RequestId request = 0;
};

struct Shutdown {
  int64_t drain_ns = 0;  // how long running sequences may go on
};

// The worker's first message after its model is loaded. A vocabulary that differs from the gateway's is refused by the gateway.
struct Hello {
  uint32_t protocol = kProtocolVersion;
  std::string build_id;  // <= 64 bytes
  uint64_t vocabulary_fingerprint = 0;
  uint32_t vocabulary_size = 0;
  std::vector<TokenId> end_of_sequence;  // <= 64
  std::string engine;                    // "cpu", <= 16 bytes
  std::string isa;                       // <= 16 bytes
  uint32_t threads = 0;
  uint32_t slots = 0;
  uint32_t context = 0;
  uint32_t block_tokens = 0;
  uint32_t blocks = 0;
  bool deterministic = false;
  uint64_t weight_bytes = 0;
  uint64_t kv_pool_bytes = 0;
  uint64_t bytes_per_token = 0;  // ActiveBytes at position 0, batch 1
};

struct Loading {
  uint32_t done = 0;
  uint32_t total = 0;
};

// Of one emitted token.
struct TokenLogprobs {
  float logprob = 0;                           // of the raw model distribution
  std::vector<std::pair<TokenId, float>> top;  // best first, <= kMaxTopLogprobs
};

// What the engine did for a request so far.
struct Usage {
  uint32_t prompt_tokens = 0;
  uint32_t cached_tokens = 0;  // prompt tokens whose KV was reused
  uint32_t completion_tokens = 0;
  uint64_t decode_steps = 0;  // steps after the first token
  int64_t prefill_ns = 0;     // first step that holds the request until its first token
  int64_t decode_ns = 0;      // first token until the last
  uint64_t decode_bytes = 0;  // bytes that the engine read in the decode window, all sequences together
  double mean_batch = 0;      // decode rows per step in that window
};

// A run of new tokens of one request. `first_index` counts from 0 per choice and never skips: the gateway checks it.
struct Tokens {
  RequestId request = 0;
  uint32_t choice = 0;
  uint32_t first_index = 0;
  std::vector<TokenId> tokens;          // <= kMaxTokensPerEvent; may be empty in the last event
  std::vector<TokenLogprobs> logprobs;  // empty, or one per token
  FinishReason finish = FinishReason::kNone;
  HopClocks clocks;            // complete in the last event
  std::optional<Usage> usage;  // up to the last of `tokens`
};

// The request is over with an error. No event of it follows.
struct Failed {
  RequestId request = 0;  // 0 = the worker itself: it cannot load its model, and ends
  Code code = Code::kInternal;
  std::string message;  // <= kMaxErrorBytes, UTF-8
};

// roof(W), measured while the worker was idle.
struct Roof {
  uint64_t buffer_bytes = 0;
  uint32_t threads = 0;
  double gb_s = 0;
};

using ToWorker = std::variant<Submit, Cancel, Shutdown>;
using ToGateway = std::variant<Hello, Loading, Tokens, Failed, Roof>;

// All or nothing: false when the ring has no room for every record of the message. A message that breaks its own limits is a bug.
bool Push(RingProducer& ring, const ToWorker& message);
bool Push(RingProducer& ring, const ToGateway& message);

// Ring bytes that a Submit of so many tokens needs at most: the gateway refuses earlier what can never fit.
size_t SubmitRingBytes(size_t tokens);

// Puts Submit records back together. One per ring; keeps the parts of at most one submission (a producer never interleaves them).
class ToWorkerReader {
 public:
  // Nothing while a submission is incomplete. A failed Status means that the peer broke the protocol: stop reading for good.
  Result<std::optional<ToWorker>> Feed(const Record& record);

 private:
  std::optional<Submit> partial_;
  uint64_t expected_tokens_ = 0;
};

Result<ToGateway> ReadToGateway(const Record& record);

// Control channel (socketpair) messages; descriptors travel beside them.
// Gateway -> worker, once: how to load. Descriptors: segment memory, wake of the worker, wake of the gateway, then one for each of `files`.
struct Attach {
  uint32_t protocol = kProtocolVersion;
  uint32_t incarnation = 0;
  uint32_t context = 0;  // positions per sequence
  uint32_t slots = 0;    // sequences at once
  uint32_t threads = 0;  // 0 = the worker decides
  uint32_t prefill_chunk = 0;
  uint8_t kv_type = 0;             // model::KvType
  bool reference = false;          // float reference mode
  std::string isa;                 // forced instruction set; empty = best; <= 16 bytes
  std::string model_name;          // for log lines; <= 128 bytes
  uint8_t quantise = 0;            // bits that float weights are quantised to at load: 4 or 8; 0 = as they are
  std::vector<std::string> files;  // names without directory, 1..kMaxAttachFiles in use
};
std::vector<std::byte> Encode(const Attach& attach);
Result<Attach> DecodeAttach(std::span<const std::byte> bytes);

}  // namespace millrace::ipc
