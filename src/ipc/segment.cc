#include "ipc/segment.h"

#include <algorithm>
#include <new>

namespace millrace::ipc {

namespace {

SegmentHeader* HeaderIn(std::span<std::byte> segment) { return std::launder(reinterpret_cast<SegmentHeader*>(segment.data())); }

Status CheckMemory(std::span<std::byte> memory) {
  if (memory.size() == kSegmentBytes && reinterpret_cast<uintptr_t>(memory.data()) % kCacheLineBytes == 0) return {};
  return Error(Code::kInvalidArgument, "a segment has {} bytes aligned to {}, not {}", kSegmentBytes, kCacheLineBytes,
               memory.size());
}

}  // namespace

std::span<std::byte> DownRing(std::span<std::byte> segment) { return segment.subspan(kDownOffset, RingBytes(kDownCapacity)); }

std::span<std::byte> UpRing(std::span<std::byte> segment) { return segment.subspan(kUpOffset, RingBytes(kUpCapacity)); }

Status FormatSegment(std::span<std::byte> memory, uint32_t incarnation) {
  RETURN_IF_ERROR(CheckMemory(memory));
  SegmentHeader* const header = new (memory.data()) SegmentHeader{};
  header->magic = kSegmentMagic;
  header->version = kSegmentVersion;
  header->incarnation = incarnation;
  header->segment_bytes = kSegmentBytes;
  header->down_offset = kDownOffset;
  header->down_capacity = kDownCapacity;
  header->up_offset = kUpOffset;
  header->up_capacity = kUpCapacity;
  RETURN_IF_ERROR(FormatRing(DownRing(memory), incarnation));
  return FormatRing(UpRing(memory), incarnation);
}

Status CheckSegment(std::span<std::byte> memory, uint32_t incarnation) {
  RETURN_IF_ERROR(CheckMemory(memory));
  const SegmentHeader& header = *HeaderIn(memory);
  if (header.magic != kSegmentMagic || header.version != kSegmentVersion || header.incarnation != incarnation) {
    return Error(Code::kDataLoss, "expected a segment of magic {:#x}, version {}, incarnation {}; found {:#x}, {}, {}",
                 kSegmentMagic, kSegmentVersion, incarnation, header.magic, header.version, header.incarnation);
  }
  if (header.segment_bytes != kSegmentBytes || header.down_offset != kDownOffset || header.down_capacity != kDownCapacity ||
      header.up_offset != kUpOffset || header.up_capacity != kUpCapacity) {
    return Error(Code::kDataLoss, "expected a segment of {} bytes with rings at {} and {}; found {}, {}, {}", kSegmentBytes,
                 kDownOffset, kUpOffset, header.segment_bytes, header.down_offset, header.up_offset);
  }
  return {};
}

WorkerVitals::WorkerVitals(std::span<std::byte> segment) : header_(HeaderIn(segment)) {}

// Only the worker writes these words, so load and store suffice; a read-modify-write would lock the bus for nothing. Relaxed: the
// gateway looks for change only and reads no other data because of it.
void WorkerVitals::Beat() {
  header_->heartbeat.store(header_->heartbeat.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void WorkerVitals::BeginStep(uint64_t step, std::span<const RequestId> requests) {
  const size_t count = std::min(requests.size(), kMaxBlamed);
  // Count last, with release: a death in between blames nobody rather than the step before.
  header_->blamed_count.store(0, std::memory_order_release);
  header_->step.store(step, std::memory_order_relaxed);
  for (size_t i = 0; i < count; ++i) header_->blamed[i].store(requests[i], std::memory_order_relaxed);
  header_->blamed_count.store(count, std::memory_order_release);
}

void WorkerVitals::EndStep() { header_->blamed_count.store(0, std::memory_order_release); }

void WorkerVitals::Set(WorkerStat stat, uint64_t value) {
  header_->stats[static_cast<size_t>(stat)].store(value, std::memory_order_relaxed);
}

void WorkerVitals::Add(WorkerStat stat, uint64_t delta) {
  std::atomic<uint64_t>& word = header_->stats[static_cast<size_t>(stat)];
  word.store(word.load(std::memory_order_relaxed) + delta, std::memory_order_relaxed);
}

WorkerSigns::WorkerSigns(std::span<std::byte> segment) : header_(HeaderIn(segment)) {}

uint64_t WorkerSigns::heartbeat() const { return header_->heartbeat.load(std::memory_order_relaxed); }

uint64_t WorkerSigns::step() const { return header_->step.load(std::memory_order_relaxed); }

uint64_t WorkerSigns::Get(WorkerStat stat) const {
  return header_->stats[static_cast<size_t>(stat)].load(std::memory_order_relaxed);
}

std::vector<RequestId> WorkerSigns::Blamed() const {
  // Acquire: pairs with the release in BeginStep, so that the ids are those of this count.
  const size_t count = static_cast<size_t>(std::min<uint64_t>(header_->blamed_count.load(std::memory_order_acquire), kMaxBlamed));
  std::vector<RequestId> requests;
  for (size_t i = 0; i < count; ++i) {
    const RequestId id = header_->blamed[i].load(std::memory_order_relaxed);
    if (id != 0) requests.push_back(id);
  }
  return requests;
}

}  // namespace millrace::ipc
