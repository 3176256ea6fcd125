// One-way ring of records between one producer and one consumer that share memory and nothing else: no lock, no pointer, no
// trust.
//
// Layout, grammar and a worked example: docs/ring-format.md. In short: a header of kRingHeaderBytes, then `capacity` bytes of
// data. Two 64-bit positions count bytes ever written and ever read; they only grow. A record is a 24-byte header and its
// payload, padded to 8 bytes; it may run over the end of the data and go on at its start (no filler records: one case fewer for a
// hostile writer).
//
// Trust. Each side keeps its own position in private memory and treats every word of the other side as hostile. The consumer
// copies a record out before it looks at it. A contradiction (position that goes back or too far, bad length, sequence,
// incarnation or checksum) is kDataLoss; from then on every call repeats it: the peer must be ended and its segment dropped
// whole. There is no repair.
//
// Threads: one thread at a time on each side. Nothing here blocks.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/status.h"

namespace millrace::ipc {

inline constexpr uint32_t kRingMagic = 0x4752524DU;  // "MRRG" in memory
inline constexpr uint32_t kRingVersion = 1;
inline constexpr size_t kCacheLineBytes = 128;  // Apple's line, and the pair of lines that x86 fetches together
inline constexpr size_t kRingHeaderBytes = 4 * kCacheLineBytes;
inline constexpr size_t kMinRingCapacity = 256;
inline constexpr size_t kMaxRingCapacity = size_t{1} << 30;
inline constexpr size_t kRecordHeaderBytes = 24;
inline constexpr size_t kRecordAlignment = 8;
inline constexpr size_t kMaxRecordBytes = size_t{64} << 10;
inline constexpr size_t kMaxPayloadBytes = kMaxRecordBytes - kRecordHeaderBytes;

// As it lies in memory, little endian.
struct RecordHeader {
  uint32_t length = 0;  // of the payload
  uint16_t type = 0;    // a message type; meaningless to the ring
  uint16_t reserved = 0;
  uint32_t incarnation = 0;
  uint32_t crc32c = 0;    // over this header with crc32c = 0, then the payload
  uint64_t sequence = 0;  // 0, 1, 2, ... within the ring
};
static_assert(sizeof(RecordHeader) == kRecordHeaderBytes);

struct RingHeader {
  // Written once, before the segment is shared.
  alignas(kCacheLineBytes) uint32_t magic;
  uint32_t version;
  uint32_t capacity;  // a power of two
  uint32_t incarnation;
  // Written by the producer; publishes all bytes below it to the consumer.
  alignas(kCacheLineBytes) std::atomic<uint64_t> written;
  // Written by the consumer; gives all bytes below it back to the producer.
  alignas(kCacheLineBytes) std::atomic<uint64_t> read;
  // 1 = the consumer sleeps or is about to, and wants the wake-up. On a line of its own: the producer looks at it on every push.
  alignas(kCacheLineBytes) std::atomic<uint32_t> sleeping;
};
static_assert(sizeof(RingHeader) == kRingHeaderBytes);
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free);

constexpr size_t RingBytes(size_t capacity) { return kRingHeaderBytes + capacity; }

// Bytes that a payload of `length` takes in the ring.
constexpr size_t RecordBytes(size_t length) {
  return (kRecordHeaderBytes + length + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
}

// Writes an empty ring's header. `memory` is zeroed, aligned to kCacheLineBytes and RingBytes(capacity) long; capacity is a power
// of two.
Status FormatRing(std::span<std::byte> memory, uint32_t incarnation);

class RingProducer {
 public:
  // Wakes the sleeping consumer. Called from TryPush, so it must not block.
  using Wake = std::function<void()>;

  RingProducer() = default;

  // `memory` holds a ring that FormatRing made, fresh (nothing written yet), and outlives the producer.
  // kDataLoss when its header is not what `incarnation` and the size of `memory` demand.
  static Result<RingProducer> Attach(std::span<std::byte> memory, uint32_t incarnation, Wake wake);

  // Appends a record. True: it is visible to the consumer, which was woken if it slept. False: no room now, nothing changed.
  // kInvalidArgument: more than kMaxPayloadBytes or than the ring can ever hold. kDataLoss: the consumer's position is
  // impossible.
  Result<bool> TryPush(uint16_t type, std::span<const std::byte> payload);

  // The same for several records that only make sense together: all of them become visible at once, or none.
  struct Item {
    uint16_t type;
    std::span<const std::byte> payload;
  };
  Result<bool> TryPushAll(std::span<const Item> items);

  // Bytes free for records at the last look; RecordBytes() says what one takes. 0 once dead.
  size_t FreeBytes();

  uint64_t sequence() const { return sequence_; }  // number of records pushed
  const Status& health() const { return health_; }

 private:
  bool RefreshRead();
  void Write(uint64_t position, std::span<const std::byte> bytes);
  void WriteRecord(uint64_t position, const Item& item);
  void Publish();

  RingHeader* header_ = nullptr;
  std::byte* data_ = nullptr;
  uint64_t capacity_ = 0;
  uint64_t written_ = 0;  // ours; the shared word is only ever stored
  uint64_t read_ = 0;     // the consumer's at our last look
  uint64_t sequence_ = 0;
  uint32_t incarnation_ = 0;
  Status health_;
  Wake wake_;
};

// What TryPop copies into. Holds 64 KiB of its own, so that popping never allocates: make one and reuse it.
class Record {
 public:
  Record() : buffer_(std::make_unique<std::array<std::byte, kMaxRecordBytes>>()) {}

  uint16_t type() const { return header_.type; }
  uint64_t sequence() const { return header_.sequence; }
  std::span<const std::byte> payload() const { return {buffer_->data() + kRecordHeaderBytes, header_.length}; }

 private:
  friend class RingConsumer;
  RecordHeader header_;
  std::unique_ptr<std::array<std::byte, kMaxRecordBytes>> buffer_;
};

class RingConsumer {
 public:
  RingConsumer() = default;

  // As RingProducer::Attach: fresh memory that outlives the consumer.
  static Result<RingConsumer> Attach(std::span<std::byte> memory, uint32_t incarnation);

  // True: `record` holds the next one. False: the ring is empty. kDataLoss: see top; `record` is then undefined.
  Result<bool> TryPop(Record& record);

  // True when a TryPop would not say "empty". For spinning: one load.
  bool HasRecords() const;

  // Before sleeping: asks the producer for a wake-up. True: the ring was empty after asking, so sleep; false: there is something
  // (or the ring is dead), do not sleep. Whoever pushes after a true will see the request: no wake-up is lost.
  bool PrepareSleep();
  // After sleeping, for whatever reason: wake-ups are superfluous again.
  void EndSleep();

  uint64_t sequence() const { return sequence_; }  // number of records popped
  const Status& health() const { return health_; }

 private:
  Status RefreshWritten();
  Status CopyRecord(Record& record, size_t& record_bytes);
  void Copy(uint64_t position, std::span<std::byte> out) const;

  RingHeader* header_ = nullptr;
  const std::byte* data_ = nullptr;
  uint64_t capacity_ = 0;
  uint64_t read_ = 0;     // ours; the shared word is only ever stored
  uint64_t written_ = 0;  // the producer's at our last look
  uint64_t sequence_ = 0;
  uint32_t incarnation_ = 0;
  Status health_;
};

}  // namespace millrace::ipc
