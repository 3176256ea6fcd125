#include "worker/roof_meter.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "base/clock.h"
#include "os/cpu.h"

namespace millrace::worker {
namespace {

constexpr size_t kPieceBytes = size_t{256} << 10;  // what one thread takes at a time

}  // namespace

RoofMeter::RoofMeter(kernels::ThreadPool& pool, const kernels::KernelTable& kernels, uint64_t bytes)
    : pool_(&pool), kernels_(&kernels), bytes_(std::max<uint64_t>(64, (bytes + 63) / 64 * 64)) {}

Status RoofMeter::Slice() {
  if (done_) return {};
  if (buffer_.size() == 0) {
    // A buffer beside the weights may not push anybody out of memory: a part of it tells nearly as much.
    const uint64_t most = std::max<uint64_t>(kSliceBytes, AvailableMemory().available_bytes / 4 / 64 * 64);
    bytes_ = std::min(bytes_, most);
    auto buffer = HugeBuffer::Allocate(bytes_);
    done_ = !buffer.ok();
    RETURN_IF_ERROR(buffer);
    buffer_ = std::move(buffer).value();
    return {};
  }
  if (filled_ < bytes_) {
    FillSlice();
  } else {
    ReadSlice();
  }
  return {};
}

void RoofMeter::FillSlice() {
  const size_t count = std::min<size_t>(kSliceBytes, bytes_ - filled_);
  std::fill_n(buffer_.data() + filled_, count, std::byte{1});  // pages of zeros would all be one page
  filled_ += count;
}

void RoofMeter::ReadSlice() {
  const size_t count = std::min<size_t>(kSliceBytes, bytes_ - read_);
  const std::byte* const data = buffer_.data() + read_;
  std::atomic<uint64_t> sum{0};  // only adds up; publishes nothing
  const int64_t start = MonotonicNs();
  const kernels::SectionSize pieces{.items = (count + kPieceBytes - 1) / kPieceBytes};
  pool_->Run("roof", pieces, [&](kernels::SectionContext& context) {
    uint64_t part = 0;
    do {
      const size_t begin = context.range().begin * kPieceBytes;
      part += kernels_->read_sum(data + begin, std::min(count, context.range().end * kPieceBytes) - begin);
    } while (context.Next());
    sum.fetch_add(part, std::memory_order_relaxed);
  });
  pass_ns_ += MonotonicNs() - start;
  sum_ += sum.load(std::memory_order_relaxed);
  read_ += count;
  if (read_ == bytes_) FinishPass();
}

void RoofMeter::FinishPass() {
  passes_.push_back(pass_ns_);
  read_ = 0;
  pass_ns_ = 0;
  if (passes_.size() < kWarmUpPasses + kPasses) return;
  std::sort(passes_.begin() + kWarmUpPasses, passes_.end());
  const int64_t median = std::max<int64_t>(1, passes_[kWarmUpPasses + kPasses / 2]);
  gb_s_ = static_cast<double>(bytes_) / static_cast<double>(median);
  buffer_ = HugeBuffer();
  done_ = true;
}

}  // namespace millrace::worker
