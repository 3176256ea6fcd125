#include "model/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/checked.h"

namespace millrace::model {

namespace {

constexpr uint64_t kMaxBytes = 1ULL << 60;

// What a worker needs beside the model: code and libraries, stacks, rings, allocator slack.
constexpr uint64_t kRuntimeBase = 48ULL << 20;
// Texts, merges and hash tables of the vocabulary.
constexpr uint64_t kRuntimePerVocab = 160;

// What lives at the same time in one step, for each token, each at its widest over all layers: the residual stream; q, k and v (or a
// sum that is still to be added); the attention's output; gate and up, of all experts of a token; the rows of a product once more as floats
// and as 8-bit codes with scales and sums (6 bytes in all); of experts also their logits, what was chosen, and their sums.
uint64_t ActivationBytesPerToken(const ModelConfig& config) {
  constexpr uint64_t kProductBytes = 6;
  constexpr uint64_t kChoiceBytes = 4 * sizeof(uint32_t);
  uint64_t qkv = config.hidden;
  uint64_t attention = 0;
  uint64_t ffn = 0;
  uint64_t widest = config.hidden;
  uint64_t expert_rows = 0;  // elements
  uint64_t experts = 0;
  uint64_t used = 0;
  for (const LayerConfig& layer : config.layers) {
    const uint64_t q = uint64_t{layer.heads} * layer.head_dim;
    attention = std::max(attention, q);
    qkv = std::max(qkv, q + 2 * uint64_t{layer.kv_heads} * layer.head_dim);
    ffn = std::max({ffn, uint64_t{layer.ffn}, uint64_t{layer.experts.used} * layer.experts.ffn});
    widest = std::max({widest, q, uint64_t{layer.ffn}, uint64_t{layer.experts.ffn}});
    expert_rows = std::max(expert_rows, uint64_t{layer.experts.used} * (std::max(config.hidden, layer.experts.ffn) + 31));
    experts = std::max<uint64_t>(experts, layer.experts.count);
    used = std::max<uint64_t>(used, layer.experts.used);
  }
  const uint64_t floats = config.hidden + qkv + attention + 2 * ffn + experts + used * config.hidden;
  return floats * sizeof(float) + std::max(widest + 31, expert_rows) * kProductBytes + used * kChoiceBytes;
}

// Cosines and sines of every position.
uint64_t RopeBytesPerPosition(const ModelConfig& config) {
  uint64_t pairs = 0;
  for (const RopeConfig& rope : config.ropes) pairs += rope.frequencies.size();
  return 2 * pairs * sizeof(float);
}

std::string Mib(uint64_t bytes) { return fmt::format("{:.1f}", static_cast<double>(bytes) / (1024.0 * 1024.0)); }

std::string_view KvTypeName(KvType type) { return type == KvType::kF16 ? "f16" : "f32"; }

}  // namespace

Result<MemoryPlan> PlanMemory(const ModelConfig& config, const WeightBytes& weights, const MemoryRequest& request) {
  if (request.slots == 0 || request.context == 0 || request.chunk_tokens == 0 || request.block_tokens == 0) {
    return Error(Code::kInvalidArgument,
                 "memory plan of {} slots x {} tokens, {} rows a step, blocks of {}: expected at least 1 of each", request.slots,
                 request.context, request.chunk_tokens, request.block_tokens);
  }
  MemoryPlan plan;
  plan.request = request;
  plan.weights = weights.resident();
  plan.kv_per_token = KvBytesPerToken(config, request.kv_type);
  plan.runtime = kRuntimeBase + kRuntimePerVocab * config.vocab;

  const auto context = CheckedAlign<uint64_t>(request.context, request.block_tokens);
  const auto tokens = context ? CheckedMul<uint64_t>(*context, request.slots) : std::nullopt;
  const auto kv = tokens ? CheckedMul(*tokens, plan.kv_per_token) : std::nullopt;
  const auto rows = CheckedMul<uint64_t>(request.chunk_tokens, ActivationBytesPerToken(config));
  const auto logits = CheckedMul<uint64_t>(uint64_t{config.vocab} * sizeof(float), request.slots);
  const auto step = rows && logits ? CheckedAdd(*rows, *logits) : std::nullopt;
  const auto ropes = CheckedMul<uint64_t>(request.context, RopeBytesPerPosition(config));
  const auto activations = step && ropes ? CheckedAdd(*step, *ropes) : std::nullopt;
  if (!kv || !activations || *kv > kMaxBytes || *activations > kMaxBytes || plan.weights > kMaxBytes) {
    return Error(Code::kInvalidArgument, "memory plan of {} slots x {} tokens, {} rows a step: more than 2^60 bytes",
                 request.slots, request.context, request.chunk_tokens);
  }
  plan.kv = *kv;
  plan.activations = *activations;
  return plan;
}

std::string MemoryPlan::Describe() const {
  return fmt::format("{} MiB = weights {} + KV {} ({} slots x {} tokens, {}) + activations {} + runtime {}", Mib(total()),
                     Mib(weights), Mib(kv), request.slots, request.context, KvTypeName(request.kv_type), Mib(activations),
                     Mib(runtime));
}

uint64_t MemoryPlan::KvTokensThatFit(uint64_t available_bytes) const {
  const uint64_t rest = weights + activations + runtime;
  if (available_bytes <= rest || kv_per_token == 0) return 0;
  return (available_bytes - rest) / kv_per_token / request.block_tokens * request.block_tokens;
}

Status MemoryPlan::CheckFits(uint64_t available_bytes) const {
  if (total() <= available_bytes) return {};
  const uint64_t blocks = KvTokensThatFit(available_bytes) / request.block_tokens;
  const uint64_t context = blocks / request.slots * request.block_tokens;
  const std::string advice = context > 0 ? fmt::format("a context of {} tokens would fit with {} slots", context, request.slots)
                             : blocks > 0
                                 ? fmt::format("one slot with a context of {} tokens would fit", blocks * request.block_tokens)
                                 : std::string("no context fits");
  return Error(Code::kResourceExhausted, "needs {}; available are {} MiB; {}", Describe(), Mib(available_bytes), advice);
}

}  // namespace millrace::model
