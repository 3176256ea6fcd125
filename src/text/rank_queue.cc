#include "text/rank_queue.h"

#include <algorithm>
#include <functional>

namespace millrace::text {
namespace {

void PushHeap(std::vector<uint32_t>& heap, uint32_t value) {
  heap.push_back(value);
  std::push_heap(heap.begin(), heap.end(), std::greater<>());
}

uint32_t PopHeap(std::vector<uint32_t>& heap) {
  std::pop_heap(heap.begin(), heap.end(), std::greater<>());
  const uint32_t value = heap.back();
  heap.pop_back();
  return value;
}

}  // namespace

void RankQueue::Bucket::Push(uint32_t place) {
  if (ordered.empty() || place >= ordered.back()) {
    ordered.push_back(place);
  } else {
    PushHeap(late, place);
  }
}

uint32_t RankQueue::Bucket::Pop() {
  if (late.empty() || (taken < ordered.size() && ordered[taken] <= late.front())) return ordered[taken++];
  return PopHeap(late);
}

void RankQueue::Reserve(size_t ranks) { bucket_of_.assign(ranks, kNone); }

void RankQueue::Push(Entry entry) {
  uint32_t& bucket = bucket_of_[entry.rank];
  if (bucket == kNone) {
    if (free_.empty()) {
      free_.push_back(static_cast<uint32_t>(buckets_.size()));
      buckets_.emplace_back();
    }
    bucket = free_.back();
    free_.pop_back();
    PushHeap(ranks_, entry.rank);
  }
  buckets_[bucket].Push(entry.place);
}

std::optional<RankQueue::Entry> RankQueue::Pop() {
  if (ranks_.empty()) return std::nullopt;
  const uint32_t rank = ranks_.front();
  Bucket& bucket = buckets_[bucket_of_[rank]];
  const Entry entry = {rank, bucket.Pop()};
  if (bucket.empty()) {
    bucket.ordered.clear();
    bucket.taken = 0;
    free_.push_back(bucket_of_[rank]);
    bucket_of_[rank] = kNone;
    PopHeap(ranks_);
  }
  return entry;
}

}  // namespace millrace::text
