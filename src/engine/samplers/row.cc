#include "engine/samplers/row.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "base/check.h"
#include "engine/exp.h"
#include "kernels/math.h"

namespace millrace::engine {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

}  // namespace

bool Row::has_best() const { return max_logit_ != kLowest && max_logit_ != -kLowest; }

Row::Row(uint32_t vocab) {
  const size_t chunks = (size_t{vocab} + kChunk - 1) / kChunk;
  own_.resize(vocab);
  chunk_max_.resize(chunks);
  bounds_.resize(chunks);
  chunk_weight_.resize(chunks);
  candidates_.resize(vocab);
}

void Row::Begin(std::span<const float> raw) {
  CHECK(raw.size() == own_.size() && !raw.empty(), "a row has as many logits as the vocabulary has tokens");
  logits_ = raw;
  edited_ = false;
  have_maxima_ = false;
  keeps_all_ = true;
  kept_ = 0;
  inverse_temperature_ = 1;
}

std::span<float> Row::Edit() {
  CHECK(!have_maxima_ && keeps_all_, "logits change before anything is selected");
  if (!edited_) {
    std::copy(logits_.begin(), logits_.end(), own_.begin());
    logits_ = own_;
    edited_ = true;
  }
  return own_;
}

size_t Row::ChunkEnd(size_t chunk) const { return std::min(logits_.size(), (chunk + 1) * kChunk); }

// Lane by lane, because a single running maximum is a chain that the compiler may not break up. NaN never replaces a maximum.
void Row::FindMaxima() {
  if (have_maxima_) return;
  constexpr size_t kLanes = 8;
  const float* data = logits_.data();
  const size_t full = logits_.size() / kChunk;
  float best = kLowest;
  for (size_t c = 0; c < full; ++c, data += kChunk) {
    float lane[kLanes];
    for (size_t j = 0; j < kLanes; ++j) lane[j] = kLowest;
    for (size_t i = 0; i < kChunk; i += kLanes) {
      for (size_t j = 0; j < kLanes; ++j) lane[j] = data[i + j] > lane[j] ? data[i + j] : lane[j];
    }
    for (size_t j = 0; j < 4; ++j) lane[j] = lane[j + 4] > lane[j] ? lane[j + 4] : lane[j];
    for (size_t j = 1; j < 4; ++j) lane[0] = lane[j] > lane[0] ? lane[j] : lane[0];
    chunk_max_[c] = lane[0];
    best = lane[0] > best ? lane[0] : best;
  }
  if (full < chunk_max_.size()) {
    float last = kLowest;
    for (size_t i = full * kChunk; i < logits_.size(); ++i) last = logits_[i] > last ? logits_[i] : last;
    chunk_max_[full] = last;
    best = last > best ? last : best;
  }
  max_logit_ = best;
  have_maxima_ = true;
}

float Row::max_logit() {
  FindMaxima();
  return max_logit_;
}

TokenId Row::Best() {
  FindMaxima();
  if (!has_best()) return kNoToken;
  const auto chunk = static_cast<size_t>(std::find(chunk_max_.begin(), chunk_max_.end(), max_logit_) - chunk_max_.begin());
  const auto begin = logits_.begin() + static_cast<ptrdiff_t>(chunk * kChunk);
  return static_cast<TokenId>(std::find(begin, logits_.end(), max_logit_) - logits_.begin());
}

// Infinite only in theory: the difference of the likeliest token is 0, and 0 times the largest float is still 0.
void Row::set_temperature(float temperature) {
  inverse_temperature_ = std::min(1.0F / temperature, std::numeric_limits<float>::max());
}

uint32_t Row::Weight(float logit) const {
  return static_cast<uint32_t>(static_cast<int32_t>(ExpNegative((logit - max_logit_) * inverse_temperature_) * kWeightOne));
}

// A logit that at least `count` tokens reach: the count-th largest chunk maximum.
float Row::ChunkBound(size_t count) {
  if (count > chunk_max_.size()) return kLowest;
  std::copy(chunk_max_.begin(), chunk_max_.end(), bounds_.begin());
  const auto nth = bounds_.begin() + static_cast<ptrdiff_t>(count - 1);
  std::nth_element(bounds_.begin(), nth, bounds_.end(), std::greater<>());
  return *nth;
}

// Candidates are the tokens whose logit reaches `bound`, in id order. NaN reaches nothing.
void Row::Gather(float bound) {
  FindMaxima();
  kept_ = 0;
  for (size_t c = 0; c < chunk_max_.size(); ++c) {
    if (chunk_max_[c] < bound) continue;
    for (size_t i = c * kChunk; i < ChunkEnd(c); ++i) {
      if (logits_[i] >= bound) candidates_[kept_++] = {.logit = logits_[i], .id = static_cast<TokenId>(i)};
    }
  }
  keeps_all_ = false;
}

void Row::WeighCandidates() {
  for (Candidate& candidate : kept()) candidate.weight = Weight(candidate.logit);
}

uint64_t Row::CandidateWeight() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < kept_; ++i) sum += candidates_[i].weight;
  return sum;
}

uint64_t Row::ChunkWeight(size_t chunk) const {
  int32_t weight[kChunk];
  const float* data = logits_.data() + chunk * kChunk;
  const size_t count = ChunkEnd(chunk) - chunk * kChunk;
  if (count == kChunk) {
    const float top = max_logit_;
    const float scale = inverse_temperature_;
    for (size_t i = 0; i < kChunk; ++i) weight[i] = static_cast<int32_t>(ExpNegative((data[i] - top) * scale) * kWeightOne);
  } else {
    for (size_t i = 0; i < kChunk; ++i) weight[i] = i < count ? static_cast<int32_t>(Weight(data[i])) : 0;
  }
  uint64_t sum = 0;
  for (size_t i = 0; i < kChunk; ++i) sum += static_cast<uint32_t>(weight[i]);
  return sum;
}

// Chunks whose likeliest token already has weight 0 are not looked at: at low temperature that is nearly all of them.
uint64_t Row::WeighAll() {
  FindMaxima();
  uint64_t total = 0;
  for (size_t c = 0; c < chunk_max_.size(); ++c) {
    chunk_weight_[c] = Weight(chunk_max_[c]) == 0 ? 0 : ChunkWeight(c);
    total += chunk_weight_[c];
  }
  return total;
}

void Row::KeepTop(size_t count) {
  FindMaxima();
  if (!has_best()) return;
  if (keeps_all_) Gather(ChunkBound(count));
  if (count >= kept_) return;
  const auto begin = candidates_.begin();
  std::nth_element(begin, begin + static_cast<ptrdiff_t>(count), begin + static_cast<ptrdiff_t>(kept_), Before);
  kept_ = count;
}

// A binary search by halves of the order Before: each round partitions only the half that holds the border, so the work is
// linear.
void Row::KeepShareOfCandidates(double target) {
  size_t low = 0;
  size_t high = kept_;
  uint64_t below = 0;  // weight of [0, low)
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    const auto at = [this](size_t i) { return candidates_.begin() + static_cast<ptrdiff_t>(i); };
    std::nth_element(at(low), at(middle), at(high), Before);
    uint64_t sum = below;
    for (size_t i = low; i < middle; ++i) sum += candidates_[i].weight;
    if (static_cast<double>(sum) >= target) {
      high = middle;
    } else {
      below = sum;
      low = middle;
    }
  }
  kept_ = std::max<size_t>(high, 1);
}

void Row::KeepShare(double share) {
  FindMaxima();
  if (!has_best()) return;
  if (!keeps_all_) {
    WeighCandidates();
    return KeepShareOfCandidates(share * static_cast<double>(CandidateWeight()));
  }
  const double target = share * static_cast<double>(WeighAll());
  for (size_t count = 64;; count *= 8) {
    Gather(ChunkBound(count));
    WeighCandidates();
    if (count > chunk_max_.size() || static_cast<double>(CandidateWeight()) >= target) break;
  }
  KeepShareOfCandidates(target);
}

void Row::KeepRatio(float ratio) {
  FindMaxima();
  if (!has_best()) return;
  if (keeps_all_) {
    // A little lower than the exact border, which the comparison below then draws.
    const double border = (kernels::Log(static_cast<double>(ratio)) - 1e-3) / static_cast<double>(inverse_temperature_);
    Gather(static_cast<float>(static_cast<double>(max_logit_) + border * (1 + 1e-6) - 1e-4));
  }
  size_t out = 0;
  for (size_t i = 0; i < kept_; ++i) {
    if (ExpNegative((candidates_[i].logit - max_logit_) * inverse_temperature_) >= ratio) candidates_[out++] = candidates_[i];
  }
  kept_ = out;
}

TokenId Row::DrawFromAll(float uniform) {
  auto rest = static_cast<uint64_t>(static_cast<double>(uniform) * static_cast<double>(WeighAll()));
  size_t chunk = 0;
  while (rest >= chunk_weight_[chunk]) rest -= chunk_weight_[chunk++];
  for (size_t i = chunk * kChunk;; ++i) {
    const uint32_t weight = Weight(logits_[i]);
    if (rest < weight) return static_cast<TokenId>(i);
    rest -= weight;
  }
}

// Every selection leaves a beginning of the order Before, so a long list need not be sorted: its last member says what to gather again.
void Row::OrderById() {
  constexpr size_t kWorthGathering = 256;
  const auto end = candidates_.begin() + static_cast<ptrdiff_t>(kept_);
  if (kept_ < kWorthGathering) {
    return std::sort(candidates_.begin(), end, [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  }
  const Candidate last = *std::max_element(candidates_.begin(), end, Before);
  Gather(last.logit);
  size_t out = 0;
  for (size_t i = 0; i < kept_; ++i) {
    if (candidates_[i].logit > last.logit || candidates_[i].id <= last.id) candidates_[out++] = candidates_[i];
  }
  kept_ = out;
}

TokenId Row::Draw(float uniform) {
  FindMaxima();
  if (!has_best()) return kNoToken;
  if (keeps_all_) return DrawFromAll(uniform);
  OrderById();
  WeighCandidates();
  auto rest = static_cast<uint64_t>(static_cast<double>(uniform) * static_cast<double>(CandidateWeight()));
  for (const Candidate& candidate : kept()) {
    if (rest < candidate.weight) return candidate.id;
    rest -= candidate.weight;
  }
  return kNoToken;  // never: `rest` is below the sum
}

double Row::ExpSum() {
  FindMaxima();
  double total = 0;
  for (size_t c = 0; c < chunk_max_.size(); ++c) {
    float part[kChunk] = {};
    const float* data = logits_.data() + c * kChunk;
    const size_t count = ChunkEnd(c) - c * kChunk;
    if (count == kChunk) {
      for (size_t i = 0; i < kChunk; ++i) part[i] = ExpNegative(data[i] - max_logit_);
    } else {
      for (size_t i = 0; i < count; ++i) part[i] = ExpNegative(data[i] - max_logit_);
    }
    for (size_t width = kChunk / 2; width > 0; width /= 2) {
      for (size_t i = 0; i < width; ++i) part[i] += part[i + width];
    }
    total += static_cast<double>(part[0]);
  }
  return total;
}

}  // namespace millrace::engine
