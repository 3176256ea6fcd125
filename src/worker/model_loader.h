// From the bytes of a model file to an engine that can run it. A worker process and a bench in its own process load through this one
// function.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "engine/engine.h"
#include "model/config.h"
#include "worker/backends.h"

namespace millrace::worker {

inline constexpr uint32_t kDefaultContext = 8192;
inline constexpr uint32_t kDefaultSlots = 8;
inline constexpr uint32_t kDefaultPrefillChunk = 256;

struct LoadOptions {
  const BackendRow* backend = &CpuRow();
  uint32_t context = 0;        // positions of one sequence; 0 = the smaller of the model's own and kDefaultContext
  uint32_t slots = 0;          // 0 = kDefaultSlots
  uint32_t threads = 0;        // 0 = the backend decides
  uint32_t prefill_chunk = 0;  // 0 = kDefaultPrefillChunk
  model::KvType kv_type = model::KvType::kF16;
  bool reference = false;
  std::string isa = {};          // empty = the best
  uint64_t available_bytes = 0;  // memory that may be used; 0 = ask the system
  std::function<void(size_t done, size_t total)> progress = nullptr;
  std::function<void(std::span<const RequestId>)> on_step = nullptr;  // engine::EngineOptions
};

struct LoadedModel {
  std::unique_ptr<engine::Engine> engine;
  kernels::ThreadPool* pool = nullptr;  // of the engine's runner, see LoadedRunner
  const kernels::KernelTable* kernels = nullptr;
  uint64_t vocabulary_fingerprint = 0;
  std::vector<TokenId> end_of_sequence;
  uint64_t bytes_per_token = 0;  // ActiveBytes at position 0, batch 1
};

// `bytes` is the whole file and may go away afterwards. Order: metadata, vocabulary, memory plan, backend, weights; so what is wrong with
// a file or does not fit is known before anything large is allocated. The KV pool holds slots x context positions, or as many as
// memory allows if that is one whole context at least; else kResourceExhausted with the plan.
Result<LoadedModel> LoadModel(std::span<const std::byte> bytes, const LoadOptions& options);

// The same from an open file, which is mapped while it loads and stays the caller's.
Result<LoadedModel> LoadModelFromFile(int fd, const LoadOptions& options);

}  // namespace millrace::worker
