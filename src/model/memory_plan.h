// MemoryPlan: the one owner of "how much memory will this model need". Admission, residency, advice and messages all ask it.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "model/active_bytes.h"
#include "model/config.h"

namespace millrace::model {

struct MemoryRequest {
  uint32_t slots = 8;       // sequences at a time
  uint32_t context = 8192;  // most positions of one sequence
  KvType kv_type = KvType::kF16;
  uint32_t chunk_tokens = 512;  // most token rows of one step
  uint32_t block_tokens = 1;    // the KV pool grows by this much: each slot's context is rounded up to it
};

// Bytes. `weights` is what stays resident: repacking does not enlarge them, the tied head is there once. `activations` and
// `runtime` are upper estimates (see memory_plan.cc); the other two are exact.
struct MemoryPlan {
  MemoryRequest request;
  uint64_t weights = 0;
  uint64_t kv = 0;
  uint64_t activations = 0;
  uint64_t runtime = 0;
  uint64_t kv_per_token = 0;

  uint64_t total() const { return weights + kv + activations + runtime; }

  // "412.3 MiB = weights 92.1 + KV 180.0 (8 slots x 8192 tokens, f16) + activations 12.0 + runtime 64.0"
  std::string Describe() const;

  // kResourceExhausted, with every term against what there is and the largest context that would fit, unless total() fits.
  Status CheckFits(uint64_t available_bytes) const;

  // Positions for which the KV pool would have room: 0 when not even the rest fits.
  uint64_t KvTokensThatFit(uint64_t available_bytes) const;
};

// kInvalidArgument when the request is empty or its product passes 2^60 bytes.
Result<MemoryPlan> PlanMemory(const ModelConfig& config, const WeightBytes& weights, const MemoryRequest& request);

}  // namespace millrace::model
