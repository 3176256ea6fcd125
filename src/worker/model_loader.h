// From the bytes of a model's files to an engine that can run it. A worker process and a bench in its own process load through this one
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
#include "model/named_file.h"
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
  uint8_t quantise = 0;          // 4 or 8: float matrices are quantised to so many bits; 0 = they stay as they are
  bool needs_vocabulary = true;  // false: a model without tokenizer loads too, without fingerprint and end of sequence
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

// `files` as model/model_source.h takes them; they may go away afterwards. Order: metadata, vocabulary, memory plan, backend, weights; so
// what is wrong with a file or does not fit is known before anything large is allocated. The KV pool holds slots x context positions, or as
// many as memory allows if that is one whole context at least; else kResourceExhausted with the plan.
Result<LoadedModel> LoadModel(std::span<const model::NamedFile> files, const LoadOptions& options);

// The same from open files, which are mapped while they load and stay the caller's.
Result<LoadedModel> LoadModelFromFiles(std::span<const std::string> names, std::span<const int> fds, const LoadOptions& options);
// Of one GGUF file.
Result<LoadedModel> LoadModelFromFile(int fd, const LoadOptions& options);

}  // namespace millrace::worker
