// The head of a worker's shared segment: who it belongs to, where the rings are, and words that the worker keeps current for its
// gateway: heartbeat, statistics, and which requests the running step serves ("blame"), readable even after the worker has died.
//
// Layout and grammar: docs/ring-format.md. Every word is written by one side only; the gateway treats what it reads as hostile.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/types.h"
#include "ipc/ring.h"

namespace millrace::ipc {

inline constexpr uint64_t kSegmentMagic = 0x31474553524D4C4CULL;  // "LLMRSEG1" in memory
inline constexpr uint32_t kSegmentVersion = 1;
inline constexpr size_t kSegmentHeaderBytes = 4096;
inline constexpr size_t kDownCapacity = size_t{4} << 20;  // gateway -> worker
inline constexpr size_t kUpCapacity = size_t{1} << 20;    // worker -> gateway
inline constexpr size_t kDownOffset = kSegmentHeaderBytes;
inline constexpr size_t kUpOffset = kDownOffset + RingBytes(kDownCapacity);
inline constexpr size_t kSegmentBytes = (kUpOffset + RingBytes(kUpCapacity) + 4095) / 4096 * 4096;
inline constexpr size_t kMaxBlamed = 64;

// What the worker reports between events. Gauges unless said otherwise. Numbers are part of the format: append only.
enum class WorkerStat : size_t {
  kWaitingSequences = 0,
  kRunningSequences = 1,
  kFreeSlots = 2,
  kFreeBlocks = 3,
  kTotalBlocks = 4,
  kQueuedTokens = 5,     // prompt tokens not yet computed
  kSteps = 6,            // counts up
  kPrefilledTokens = 7,  // counts up
  kDecodedTokens = 8,    // counts up
  kStepNs = 9,           // counts up: time inside steps
  kStepStartedNs = 10,   // monotonic clock at the start of the running step; 0 between steps
  kExpectedStepNs = 11,  // what the worker thinks that a step takes
  kBytesRead = 12,       // counts up: bytes of weights and KV
  kPrefillTokensPerS = 13,
};
inline constexpr size_t kWorkerStats = 32;

struct SegmentHeader {
  // Written once by the gateway.
  alignas(kCacheLineBytes) uint64_t magic;
  uint32_t version;
  uint32_t incarnation;
  uint64_t segment_bytes;
  uint64_t down_offset;
  uint64_t down_capacity;
  uint64_t up_offset;
  uint64_t up_capacity;
  // Written by the worker, each group on lines of its own.
  alignas(kCacheLineBytes) std::atomic<uint64_t> heartbeat;
  alignas(kCacheLineBytes) std::atomic<uint64_t> step;  // id of the running or last step
  std::atomic<uint64_t> blamed_count;                   // how many of the ids below belong to a step that runs; 0 between steps
  std::array<std::atomic<uint64_t>, kMaxBlamed> blamed;
  alignas(kCacheLineBytes) std::array<std::atomic<uint64_t>, kWorkerStats> stats;
};
static_assert(sizeof(SegmentHeader) <= kSegmentHeaderBytes);

// Writes header and two empty rings into zeroed, page-aligned memory of kSegmentBytes.
Status FormatSegment(std::span<std::byte> memory, uint32_t incarnation);

// kDataLoss unless the header is exactly what FormatSegment writes for `incarnation`.
Status CheckSegment(std::span<std::byte> memory, uint32_t incarnation);

std::span<std::byte> DownRing(std::span<std::byte> segment);
std::span<std::byte> UpRing(std::span<std::byte> segment);

// The worker's pen for the header. One thread.
class WorkerVitals {
 public:
  WorkerVitals() = default;
  explicit WorkerVitals(std::span<std::byte> segment);

  // At least once per step and per prefill chunk; silence means a hang.
  void Beat();
  // Before a step: who is charged if it kills us. Ids beyond kMaxBlamed are left out.
  void BeginStep(uint64_t step, std::span<const RequestId> requests);
  // After a step: nobody is.
  void EndStep();
  void Set(WorkerStat stat, uint64_t value);
  void Add(WorkerStat stat, uint64_t delta);

 private:
  SegmentHeader* header_ = nullptr;
};

// The gateway's view of it. Any thread; values may be from different moments.
class WorkerSigns {
 public:
  WorkerSigns() = default;
  explicit WorkerSigns(std::span<std::byte> segment);

  uint64_t heartbeat() const;
  uint64_t step() const;
  uint64_t Get(WorkerStat stat) const;
  // The requests of the running step; exact once the worker is dead. Never more than kMaxBlamed, no zeros; a lying worker can
  // name requests that it never got, so match them against your own list.
  std::vector<RequestId> Blamed() const;

 private:
  const SegmentHeader* header_ = nullptr;
};

}  // namespace millrace::ipc
