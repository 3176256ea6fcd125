#include "kernels/read_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/clock.h"
#include "os/mapping.h"

namespace millrace::kernels {
namespace {

constexpr size_t kLine = 64;
constexpr uint32_t kMinPasses = 5;
constexpr uint32_t kMaxPasses = 2000;
constexpr int64_t kMinNs = 100'000'000;

// The buffer in pieces of at least 16 KiB (whole lines), at most 2^16 of them.
size_t PieceBytes(size_t bytes) { return std::max<size_t>(16384, (bytes >> 16) / kLine * kLine + kLine); }
SectionSize Pieces(size_t bytes) { return {.items = (bytes + PieceBytes(bytes) - 1) / PieceBytes(bytes), .grain = 4}; }
IndexRange BytesOf(IndexRange pieces, size_t piece, size_t bytes) {
  return {pieces.begin * piece, std::min(pieces.end * piece, bytes)};
}

// Writes every page, in the shares in which it will be read: untouched memory is one shared page of zeros.
void Fill(ThreadPool& pool, std::span<std::byte> buffer) {
  const size_t piece = PieceBytes(buffer.size());
  pool.Run("fill", Pieces(buffer.size()), [&](SectionContext& context) {
    do {
      const IndexRange bytes = BytesOf(context.range(), piece, buffer.size());
      std::memset(buffer.data() + bytes.begin, 1, bytes.end - bytes.begin);
    } while (context.Next());
  });
}

}  // namespace

ReadBandwidth MeasureReadBandwidthOf(ThreadPool& pool, const KernelTable& kernels, std::span<const std::byte> buffer) {
  std::atomic<uint64_t> sink{0};  // keeps the sums alive
  const size_t piece = PieceBytes(buffer.size());
  const auto pass = [&] {
    const int64_t start_ns = MonotonicNs();
    pool.Run("read", Pieces(buffer.size()), [&](SectionContext& context) {
      uint64_t sum = 0;
      do {
        const IndexRange bytes = BytesOf(context.range(), piece, buffer.size());
        sum += kernels.read_sum(buffer.data() + bytes.begin, bytes.end - bytes.begin);
      } while (context.Next());
      sink.fetch_add(sum, std::memory_order_relaxed);
    });
    return MonotonicNs() - start_ns;
  };
  pass();  // warms the threads, and the caches where the buffer fits
  std::vector<int64_t> times;
  int64_t total_ns = 0;
  while (times.size() < kMinPasses || (total_ns < kMinNs && times.size() < kMaxPasses)) {
    times.push_back(std::max<int64_t>(1, pass()));
    total_ns += times.back();
  }
  std::sort(times.begin(), times.end());
  const auto rate = [&](int64_t ns) { return static_cast<double>(buffer.size()) / static_cast<double>(ns); };
  return {.buffer_bytes = buffer.size(),
          .best_gb_s = rate(times.front()),
          .median_gb_s = rate(times[times.size() / 2]),
          .passes = static_cast<uint32_t>(times.size())};
}

Result<ReadBandwidth> MeasureReadBandwidth(ThreadPool& pool, const KernelTable& kernels, size_t bytes) {
  if (bytes == 0 || bytes > SIZE_MAX - kLine) return Error(Code::kInvalidArgument, "read bandwidth over {} bytes", bytes);
  ASSIGN_OR_RETURN(HugeBuffer buffer, HugeBuffer::Allocate((bytes + kLine - 1) / kLine * kLine));
  Fill(pool, buffer.bytes());
  return MeasureReadBandwidthOf(pool, kernels, buffer.bytes());
}

Result<std::vector<ReadBandwidth>> MeasureReadCurve(ThreadPool& pool, const KernelTable& kernels, size_t limit_bytes) {
  constexpr size_t kSmallest = 8'000'000;
  constexpr size_t kLargest = 4'096'000'000;
  size_t largest = kSmallest;
  while (largest * 2 <= std::min(limit_bytes, kLargest)) largest *= 2;
  ASSIGN_OR_RETURN(HugeBuffer buffer, HugeBuffer::Allocate(largest));
  Fill(pool, buffer.bytes());
  std::vector<ReadBandwidth> curve;
  for (size_t bytes = kSmallest; bytes <= largest; bytes *= 2) {
    curve.push_back(
        MeasureReadBandwidthOf(pool, kernels, std::span<const std::byte>(buffer.bytes()).first(bytes / kLine * kLine)));
  }
  return curve;
}

}  // namespace millrace::kernels
