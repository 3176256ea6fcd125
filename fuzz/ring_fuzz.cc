// The ring's consumer over memory that a hostile producer writes, and every message decoder behind it.
//
// The first byte of the input chooses what the rest means. Whatever a decoder accepts must encode to the same bytes again.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "ipc/channel.h"
#include "ipc/messages.h"
#include "ipc/ring.h"

namespace {

using namespace millrace;
using namespace millrace::ipc;

constexpr size_t kCapacity = 4096;
constexpr uint32_t kIncarnation = 7;

// Takes numbers off the front of the input; zeros when it is used up.
class Input {
 public:
  explicit Input(std::span<const std::byte> bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  template <typename T>
  T Take() {
    T value{};
    const std::span<const std::byte> part = TakeBytes(sizeof(T));
    std::memcpy(&value, part.data(), part.size());
    return value;
  }
  std::span<const std::byte> TakeBytes(size_t size) {
    const std::span<const std::byte> part = bytes_.first(std::min(size, bytes_.size()));
    bytes_ = bytes_.subspan(part.size());
    return part;
  }
  std::span<const std::byte> Rest() { return TakeBytes(bytes_.size()); }

 private:
  std::span<const std::byte> bytes_;
};

struct RingMemory {
  alignas(kCacheLineBytes) std::array<std::byte, RingBytes(kCapacity)> bytes{};
  RingHeader& header() { return *std::launder(reinterpret_cast<RingHeader*>(bytes.data())); }
  std::byte* data() { return bytes.data() + kRingHeaderBytes; }
};

// Makes the checksum of whatever lies at `position` right, so that the checks behind it are reached too.
void Seal(RingMemory& memory, uint64_t position) {
  const auto at = [&memory](uint64_t offset) -> std::byte& { return memory.data()[offset % kCapacity]; };
  std::array<std::byte, kRecordHeaderBytes> header;
  for (size_t i = 0; i < header.size(); ++i) header[i] = at(position + i);
  uint32_t length = 0;
  std::memcpy(&length, header.data(), sizeof(length));
  std::memset(header.data() + 12, 0, 4);
  std::vector<std::byte> all(header.begin(), header.end());
  for (uint64_t i = 0; i < std::min<uint64_t>(length, kCapacity); ++i) all.push_back(at(position + header.size() + i));
  const uint32_t crc = Crc32c(all);
  for (size_t i = 0; i < sizeof(crc); ++i) at(position + 12 + i) = static_cast<std::byte>(crc >> (8 * i));
}

void PopAll(RingConsumer& consumer, Record& record) {
  while (true) {
    const Result<bool> popped = consumer.TryPop(record);
    CHECK(popped.ok() == consumer.health().ok(), "health and result agree");
    if (!popped.ok() || !*popped) return;
    CHECK(record.payload().size() <= kMaxPayloadBytes, "a payload within its limit");
    CHECK(record.sequence() + 1 == consumer.sequence(), "records are counted without gaps");
  }
}

// Honest pushes, arbitrary writes into the shared words and the data, and pops, in any order.
void HostileProducer(Input input) {
  const auto memory = std::make_unique<RingMemory>();
  CHECK(FormatRing(memory->bytes, kIncarnation).ok(), "a fresh ring");
  RingProducer producer = RingProducer::Attach(memory->bytes, kIncarnation, {}).value();
  RingConsumer consumer = RingConsumer::Attach(memory->bytes, kIncarnation).value();
  Record record;
  uint64_t sealed_from = 0;
  while (!input.empty()) {
    switch (input.Take<uint8_t>() % 7) {
      case 0:
        (void)producer.TryPush(input.Take<uint16_t>(), input.TakeBytes(input.Take<uint8_t>()));
        break;
      case 1:
        memory->header().written.store(input.Take<uint64_t>());
        break;
      case 2:
        memory->header().written.fetch_add(input.Take<uint16_t>());
        break;
      case 3: {
        const uint16_t at = input.Take<uint16_t>();
        for (const std::byte b : input.TakeBytes(input.Take<uint8_t>() % 64))
          memory->data()[(at + sealed_from++) % kCapacity] = b;
        break;
      }
      case 4:
        Seal(*memory, input.Take<uint16_t>());
        break;
      case 5:
        memory->header().read.store(input.Take<uint64_t>());
        (void)producer.FreeBytes();
        break;
      default:
        PopAll(consumer, record);
        if (consumer.PrepareSleep()) consumer.EndSleep();
        break;
    }
  }
  PopAll(consumer, record);
}

// Ends that are kept between inputs; an input that breaks one gets a new one.
struct Wire {
  std::pair<GatewayChannel, WorkerChannel> ends = HeapChannel::Create();
  Record record;
};

Wire& TheWire() {
  static Wire wire;
  return wire;
}

// One payload through the ring to the gateway's decoder.
void ToGatewayDecoder(Input input) {
  Wire& wire = TheWire();
  RingProducer& up = wire.ends.second.up();
  RingConsumer& consumer = wire.ends.first.up();
  const uint16_t type = input.Take<uint16_t>();
  const std::span<const std::byte> payload = input.Rest();
  if (payload.size() > kMaxPayloadBytes) return;
  CHECK(up.TryPush(type, payload).value() && consumer.TryPop(wire.record).value(), "an honest ring carries anything");
  const Result<ToGateway> message = ReadToGateway(wire.record);
  if (!message.ok()) return;
  CHECK(Push(up, *message) && consumer.TryPop(wire.record).value(), "what was decoded can be sent");
  CHECK(wire.record.type() == type, "with the same type");
  CHECK(std::equal(payload.begin(), payload.end(), wire.record.payload().begin(), wire.record.payload().end()),
        "and the same bytes");
}

// A sequence of records to the worker's decoder: {type, size, payload}.
void ToWorkerDecoder(Input input) {
  Wire& wire = TheWire();
  RingProducer& down = wire.ends.first.down();
  RingConsumer& consumer = wire.ends.second.down();
  ToWorkerReader reader;
  while (!input.empty()) {
    const uint16_t type = input.Take<uint16_t>();
    const uint16_t size = input.Take<uint16_t>();
    const std::span<const std::byte> payload = input.TakeBytes(std::min<size_t>(size, kMaxPayloadBytes));
    CHECK(down.TryPush(type, payload).value() && consumer.TryPop(wire.record).value(), "an honest ring carries anything");
    const Result<std::optional<ToWorker>> message = reader.Feed(wire.record);
    if (!message.ok()) return;
    if (!message.value().has_value()) continue;
    CHECK(Push(down, **message), "what was decoded can be sent");
    ToWorkerReader second;
    bool whole = false;
    while (consumer.TryPop(wire.record).value()) whole = second.Feed(wire.record).value().has_value();
    CHECK(whole, "and read again");
  }
}

void AttachDecoder(Input input) {
  const std::span<const std::byte> bytes = input.Rest();
  const Result<Attach> attach = DecodeAttach(bytes);
  if (!attach.ok()) return;
  const std::vector<std::byte> again = Encode(*attach);
  CHECK(std::equal(bytes.begin(), bytes.end(), again.begin(), again.end()), "what was decoded encodes to the same bytes");
}

// A segment's header as a hostile peer could have left it.
void SegmentHeaderCheck(Input input) {
  struct Segment {
    alignas(4096) std::array<std::byte, kSegmentBytes> bytes{};
  };
  static const auto segment = std::make_unique<Segment>();
  CHECK(FormatSegment(segment->bytes, kIncarnation).ok(), "a fresh segment");
  const std::span<const std::byte> patch = input.Rest();
  const size_t size = std::min(patch.size(), sizeof(SegmentHeader));
  std::memcpy(segment->bytes.data(), patch.data(), size);
  (void)CheckSegment(segment->bytes, kIncarnation);
  CHECK(WorkerSigns(segment->bytes).Blamed().size() <= kMaxBlamed, "blame is bounded");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const Input input(std::as_bytes(std::span(data, size)).subspan(1));
  switch (data[0] % 5) {
    case 0:
      HostileProducer(input);
      break;
    case 1:
      ToGatewayDecoder(input);
      break;
    case 2:
      ToWorkerDecoder(input);
      break;
    case 3:
      AttachDecoder(input);
      break;
    default:
      SegmentHeaderCheck(input);
      break;
  }
  return 0;
}
