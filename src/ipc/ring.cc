#include "ipc/ring.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "base/hash.h"

namespace millrace::ipc {

static_assert(std::endian::native == std::endian::little, "the ring's layout is little endian");

namespace {

// The header of a ring in `memory`, or why it cannot be one.
Result<RingHeader*> HeaderOf(std::span<std::byte> memory) {
  if (memory.size() < RingBytes(kMinRingCapacity) || memory.size() > RingBytes(kMaxRingCapacity) ||
      !std::has_single_bit(memory.size() - kRingHeaderBytes)) {
    return Error(Code::kInvalidArgument, "a ring has {} bytes and a power of two from {} to {}, not {} bytes in all",
                 kRingHeaderBytes, kMinRingCapacity, kMaxRingCapacity, memory.size());
  }
  if (reinterpret_cast<uintptr_t>(memory.data()) % kCacheLineBytes != 0) {
    return Error(Code::kInvalidArgument, "a ring must be aligned to {} bytes", kCacheLineBytes);
  }
  return std::launder(reinterpret_cast<RingHeader*>(memory.data()));
}

Result<RingHeader*> CheckedHeader(std::span<std::byte> memory, uint32_t incarnation) {
  ASSIGN_OR_RETURN(RingHeader* const header, HeaderOf(memory));
  RingHeader* const found = header;
  const size_t capacity = memory.size() - kRingHeaderBytes;
  if (found->magic != kRingMagic || found->version != kRingVersion || found->capacity != capacity ||
      found->incarnation != incarnation) {
    return Error(
        Code::kDataLoss,
        "expected a ring of magic {:#x}, version {}, capacity {}, incarnation {}; found magic {:#x}, version {}, capacity {}, "
        "incarnation {}",
        kRingMagic, kRingVersion, capacity, incarnation, found->magic, found->version, found->capacity, found->incarnation);
  }
  return found;
}

// The record's checksum. `header.crc32c` is taken as 0.
uint32_t RecordCrc(RecordHeader header, std::span<const std::byte> payload) {
  header.crc32c = 0;
  return Crc32c(payload, Crc32c(std::as_bytes(std::span(&header, 1))));
}

}  // namespace

Status FormatRing(std::span<std::byte> memory, uint32_t incarnation) {
  ASSIGN_OR_RETURN(RingHeader* const checked, HeaderOf(memory));
  RingHeader* const header = new (checked) RingHeader;
  header->magic = kRingMagic;
  header->version = kRingVersion;
  header->capacity = static_cast<uint32_t>(memory.size() - kRingHeaderBytes);
  header->incarnation = incarnation;
  header->written.store(0, std::memory_order_relaxed);
  header->read.store(0, std::memory_order_relaxed);
  header->sleeping.store(0, std::memory_order_relaxed);
  return {};
}

Result<RingProducer> RingProducer::Attach(std::span<std::byte> memory, uint32_t incarnation, Wake wake) {
  RingProducer producer;
  ASSIGN_OR_RETURN(producer.header_, CheckedHeader(memory, incarnation));
  producer.data_ = memory.data() + kRingHeaderBytes;
  producer.capacity_ = memory.size() - kRingHeaderBytes;
  producer.incarnation_ = incarnation;
  producer.wake_ = std::move(wake);
  return producer;
}

// Takes over the consumer's position if it is possible, else declares the ring dead.
bool RingProducer::RefreshRead() {
  // Acquire: the consumer's copying out of those bytes happens before we overwrite them.
  const uint64_t read = header_->read.load(std::memory_order_acquire);
  if (read < read_ || read > written_ || read % kRecordAlignment != 0) {
    health_ = Error(Code::kDataLoss, "ring: expected the consumer's position in [{}, {}], found {}", read_, written_, read);
    return false;
  }
  read_ = read;
  return true;
}

size_t RingProducer::FreeBytes() {
  if (!health_.ok() || !RefreshRead()) return 0;
  return static_cast<size_t>(capacity_ - (written_ - read_));
}

void RingProducer::Write(uint64_t position, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const size_t at = static_cast<size_t>(position & (capacity_ - 1));
  const size_t first = std::min(bytes.size(), static_cast<size_t>(capacity_) - at);
  std::memcpy(data_ + at, bytes.data(), first);
  if (first < bytes.size()) std::memcpy(data_, bytes.data() + first, bytes.size() - first);
}

void RingProducer::WriteRecord(uint64_t position, const Item& item) {
  RecordHeader header;
  header.length = static_cast<uint32_t>(item.payload.size());
  header.type = item.type;
  header.incarnation = incarnation_;
  header.sequence = sequence_;
  header.crc32c = RecordCrc(header, item.payload);
  Write(position, std::as_bytes(std::span(&header, 1)));
  Write(position + kRecordHeaderBytes, item.payload);
  static constexpr std::array<std::byte, kRecordAlignment> kZeros{};
  const size_t used = kRecordHeaderBytes + item.payload.size();
  Write(position + used, std::span(kZeros).first(RecordBytes(item.payload.size()) - used));
}

// Makes everything up to written_ visible and wakes a sleeping consumer.
//
// The store of the position and the load of the flag must not change places, nor must the consumer's store of the flag and its
// load of the position (PrepareSleep): otherwise both sides could miss each other and the consumer would sleep on a full ring.
// All four are sequentially consistent, so in their single order one side sees the other. Fences would do too, but the race
// detector cannot see them.
void RingProducer::Publish() {
  header_->written.store(written_, std::memory_order_seq_cst);
  if (header_->sleeping.load(std::memory_order_seq_cst) == 0) return;
  // Taking the flag down here saves the system call for the records that follow before the consumer runs.
  header_->sleeping.store(0, std::memory_order_relaxed);
  if (wake_) wake_();
}

Result<bool> RingProducer::TryPush(uint16_t type, std::span<const std::byte> payload) {
  const Item item{type, payload};
  return TryPushAll(std::span(&item, 1));
}

Result<bool> RingProducer::TryPushAll(std::span<const Item> items) {
  if (!health_.ok()) return health_;
  if (items.empty()) return true;
  size_t need = 0;
  for (const Item& item : items) {
    if (item.payload.size() > kMaxPayloadBytes) {
      return Error(Code::kInvalidArgument, "ring: a record has at most {} payload bytes, not {}", kMaxPayloadBytes,
                   item.payload.size());
    }
    need += RecordBytes(item.payload.size());
    if (need > capacity_) return Error(Code::kInvalidArgument, "ring: {} bytes can never fit {}", need, capacity_);
  }
  // Looking at the consumer's line costs a cache miss, so it is done only when our last knowledge of it does not suffice.
  if (need > capacity_ - (written_ - read_)) {
    if (!RefreshRead()) return health_;
    if (need > capacity_ - (written_ - read_)) return false;
  }
  for (const Item& item : items) {
    WriteRecord(written_, item);
    written_ += RecordBytes(item.payload.size());
    ++sequence_;
  }
  Publish();
  return true;
}

Result<RingConsumer> RingConsumer::Attach(std::span<std::byte> memory, uint32_t incarnation) {
  RingConsumer consumer;
  ASSIGN_OR_RETURN(consumer.header_, CheckedHeader(memory, incarnation));
  consumer.data_ = memory.data() + kRingHeaderBytes;
  consumer.capacity_ = memory.size() - kRingHeaderBytes;
  consumer.incarnation_ = incarnation;
  return consumer;
}

bool RingConsumer::HasRecords() const {
  return written_ != read_ || !health_.ok() || header_->written.load(std::memory_order_relaxed) != read_;
}

Status RingConsumer::RefreshWritten() {
  // Acquire: the bytes below the position were written before it was.
  const uint64_t written = header_->written.load(std::memory_order_acquire);
  // Seen from below: written - read_ would wrap around for a position that went back.
  if (written < written_ || written - read_ > capacity_ || written % kRecordAlignment != 0) {
    return Error(Code::kDataLoss, "ring: expected the producer's position in [{}, {}], found {}", written_, read_ + capacity_,
                 written);
  }
  written_ = written;
  return {};
}

void RingConsumer::Copy(uint64_t position, std::span<std::byte> out) const {
  if (out.empty()) return;
  const size_t at = static_cast<size_t>(position & (capacity_ - 1));
  const size_t first = std::min(out.size(), static_cast<size_t>(capacity_) - at);
  std::memcpy(out.data(), data_ + at, first);
  if (first < out.size()) std::memcpy(out.data() + first, data_, out.size() - first);
}

// Copies the record at read_ out of shared memory, then checks the copy. `record_bytes` is what it takes in the ring.
Status RingConsumer::CopyRecord(Record& record, size_t& record_bytes) {
  const uint64_t available = written_ - read_;
  RecordHeader& header = record.header_;
  if (available < kRecordHeaderBytes)
    return Error(Code::kDataLoss, "ring: expected a record at {}, found {} bytes", read_, available);
  Copy(read_, std::as_writable_bytes(std::span(&header, 1)));
  if (header.length > kMaxPayloadBytes || RecordBytes(header.length) > available) {
    return Error(Code::kDataLoss, "ring: record at {} says {} payload bytes; {} bytes are there, {} is the most", read_,
                 header.length, available, kMaxPayloadBytes);
  }
  record_bytes = RecordBytes(header.length);
  const std::span<std::byte> payload = std::span(*record.buffer_).subspan(kRecordHeaderBytes, header.length);
  Copy(read_ + kRecordHeaderBytes, payload);
  if (header.sequence != sequence_ || header.incarnation != incarnation_ || header.reserved != 0) {
    return Error(Code::kDataLoss, "ring: expected sequence {}, incarnation {}, reserved 0 at {}; found {}, {}, {}", sequence_,
                 incarnation_, read_, header.sequence, header.incarnation, header.reserved);
  }
  if (const uint32_t crc = RecordCrc(header, payload); crc != header.crc32c) {
    return Error(Code::kDataLoss, "ring: record at {} has checksum {:#x}, its bytes {:#x}", read_, header.crc32c, crc);
  }
  return {};
}

Result<bool> RingConsumer::TryPop(Record& record) {
  if (!health_.ok()) return health_;
  if (written_ == read_) {
    health_ = RefreshWritten();
    if (!health_.ok()) return health_;
    if (written_ == read_) return false;
  }
  size_t record_bytes = 0;
  health_ = CopyRecord(record, record_bytes);
  if (!health_.ok()) return health_;
  read_ += record_bytes;
  ++sequence_;
  // Release: our copying happens before the producer, having seen this, overwrites the bytes.
  header_->read.store(read_, std::memory_order_release);
  return true;
}

// See RingProducer::Publish for the order that this keeps.
bool RingConsumer::PrepareSleep() {
  if (!health_.ok() || written_ != read_) return false;
  header_->sleeping.store(1, std::memory_order_seq_cst);
  if (header_->written.load(std::memory_order_seq_cst) == read_) return true;
  EndSleep();
  return false;
}

void RingConsumer::EndSleep() { header_->sleeping.store(0, std::memory_order_relaxed); }

}  // namespace millrace::ipc
