// The coarse seam between the engine (which decides) and a backend (which computes). Frozen: docs/adr/0002-step-batch.md.
//
//   engine                          runner
//   Launch(StepBatch) ───────────▶  starts the step; may return before the device is done
//   Collect(Ticket)   ◀───────────  waits for it; logits stay valid until the next Launch
//
// The engine owns sequence ids, block ids and reference counts; the runner owns the bytes of the KV blocks. All calls come from
// one thread. At most `depth` steps are between Launch and Collect.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "base/types.h"
#include "model/config.h"

namespace millrace::model {

// Token rows of one sequence: positions first_position, first_position + 1, … in this step. Prefill and decode look the same.
struct SpanOfTokens {
  uint32_t slot = 0;  // row of the block tables
  uint32_t first_position = 0;
  uint32_t token_begin = 0;  // index into StepBatch::tokens
  uint32_t token_count = 0;
  int32_t adapter = -1;  // reserved for low-rank adapters; -1 = none
};

// Block tables live in the runner, one row per slot; a step brings only what changed since the last one.
struct BlockChange {
  uint32_t slot = 0;
  uint32_t index = 0;  // which block of the sequence: position / block_tokens
  uint32_t block = 0;  // id in the pool
};

// Done before anything else of the step: the first `tokens` positions of a block are copied (prefix reuse of a partial block).
struct KvCopy {
  uint32_t source = 0;
  uint32_t destination = 0;
  uint32_t tokens = 0;
};

enum class OutputKind : uint8_t { kLogits, kSample, kHidden };

struct OutputRow {
  uint32_t token_index = 0;  // index into StepBatch::tokens
  OutputKind kind = OutputKind::kLogits;
  uint16_t top_n = 0;     // kSample: how many best tokens to report
  int32_t mask = -1;      // kSample: index of a vocabulary bitset in `masks`; -1 = none
  int32_t sampling = -1;  // kSample: index into `sampling`
};

// Parameters of a row that is sampled on the device (runners with info().samples).
struct DeviceSampling {
  float temperature = 0;
  float top_p = 1;
  float min_p = 0;
  int32_t top_k = 0;
  uint64_t seed = 0;
  uint32_t choice = 0;
  uint64_t position = 0;
};

// Plain arrays in the engine's arena, valid until Collect of this step.
struct StepBatch {
  uint64_t step_id = 0;
  std::span<const TokenId> tokens;  // an id, or -(row + 1): what output row `row` of the previous step sampled
  std::span<const SpanOfTokens> spans;
  std::span<const BlockChange> block_changes;
  std::span<const KvCopy> kv_copies;
  std::span<const OutputRow> outputs;
  std::span<const DeviceSampling> sampling;
  std::span<const std::span<const uint32_t>> masks;  // each vocab bits, bit set = allowed
  std::span<const uint32_t> positions;               // reserved: explicit position per token (multimodal rope)
  std::span<const uint32_t> parents;                 // reserved: token trees
};

struct TopToken {
  TokenId id = kNoToken;
  float logprob = 0;
};

// One per StepBatch::outputs, same order; which fields hold depends on its kind.
struct OutputResult {
  std::span<const float> logits;  // [vocab], raw
  std::span<const float> hidden;  // [hidden], after the final norm
  TokenId id = kNoToken;
  float logprob = 0;
  std::span<const TopToken> top;
};

struct StepResult {
  std::span<const OutputResult> outputs;  // valid until the next Launch
  uint64_t weight_bytes = 0;              // read by this step, counted in the source format
  uint64_t kv_bytes = 0;
  int64_t kernel_ns = 0;  // inside parallel sections
  int64_t idle_ns = 0;    // inside the step, outside of them
};

struct Ticket {
  uint64_t step_id = 0;
};

struct RunnerInfo {
  const char* engine = "";  // "cpu"
  const char* isa = "";     // "avx2", "scalar"
  uint32_t threads = 0;
  uint32_t depth = 1;             // steps that may be launched and not collected
  uint32_t block_tokens = 0;      // positions per KV block
  uint32_t blocks = 0;            // size of the pool
  uint32_t slots = 0;             // rows of the block tables
  uint32_t max_batch_tokens = 0;  // most tokens of one step
  uint32_t context = 0;           // most positions of one sequence
  bool kv_contiguous = false;     // true: a sequence's blocks must be consecutive
  bool mixes_prefill_and_decode = true;
  bool samples = false;        // kSample rows are understood
  bool deterministic = false;  // decisions on sameness hold: same bits alone or in any batch
  KvType kv_type = KvType::kF16;
  uint64_t weight_bytes = 0;  // resident
  uint64_t kv_pool_bytes = 0;
};

class ModelRunner {
 public:
  virtual ~ModelRunner() = default;

  virtual const ModelConfig& config() const = 0;
  virtual const RunnerInfo& info() const = 0;

  // kInvalidArgument for a batch that breaks the contract above; anything else is the device's failure and concerns the whole
  // step.
  virtual Result<Ticket> Launch(const StepBatch& batch) = 0;
  virtual Result<StepResult> Collect(Ticket ticket) = 0;
};

}  // namespace millrace::model
