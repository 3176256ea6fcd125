#include "engine/samplers/row.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>

#include "base/check.h"
#include "base/math.h"
#include "engine/exp.h"

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

const float* Row::ChunkData(size_t chunk) const {
  return (chunk + 1) * kChunk <= logits_.size() ? logits_.data() + chunk * kChunk : tail_.data();
}

// Lane by lane, because a single running maximum is a chain that the compiler may not break up. NaN never replaces a maximum.
void Row::FindMaxima() {
  if (have_maxima_) return;
  tail_.fill(kLowest);
  std::copy(logits_.end() - static_cast<ptrdiff_t>(logits_.size() % kChunk), logits_.end(), tail_.begin());
  constexpr size_t kLanes = 8;
  max_logit_ = kLowest;
  for (size_t c = 0; c < chunk_max_.size(); ++c) {
    const float* const data = ChunkData(c);
    float lane[kLanes];
    for (size_t j = 0; j < kLanes; ++j) lane[j] = kLowest;
    for (size_t i = 0; i < kChunk; i += kLanes) {
      for (size_t j = 0; j < kLanes; ++j) lane[j] = data[i + j] > lane[j] ? data[i + j] : lane[j];
    }
    for (size_t j = 0; j < 4; ++j) lane[j] = lane[j + 4] > lane[j] ? lane[j + 4] : lane[j];
    for (size_t j = 1; j < 4; ++j) lane[0] = lane[j] > lane[0] ? lane[j] : lane[0];
    chunk_max_[c] = lane[0];
    max_logit_ = lane[0] > max_logit_ ? lane[0] : max_logit_;
  }
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
  ordered_ = true;
}

// The beginning of the order Before up to `last`, in id order.
void Row::GatherUntil(Candidate last) {
  Gather(last.logit);
  size_t out = 0;
  for (size_t i = 0; i < kept_; ++i) {
    if (candidates_[i].logit > last.logit || candidates_[i].id <= last.id) candidates_[out++] = candidates_[i];
  }
  kept_ = out;
}

void Row::WeighCandidates() {
  for (Candidate& candidate : kept()) candidate.weight = Weight(candidate.logit);
}

uint64_t Row::CandidateWeight() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < kept_; ++i) sum += candidates_[i].weight;
  return sum;
}

void Row::WeighChunk(size_t chunk, std::array<int32_t, kChunk>& weights) const {
  const float* const data = ChunkData(chunk);
  const float top = max_logit_;
  const float scale = inverse_temperature_;
  for (size_t i = 0; i < kChunk; ++i) weights[i] = static_cast<int32_t>(ExpNegative((data[i] - top) * scale) * kWeightOne);
}

// Chunks whose likeliest token already has weight 0 are not looked at: at low temperature that is nearly all of them.
uint64_t Row::WeighAll() {
  FindMaxima();
  uint64_t total = 0;
  for (size_t c = 0; c < chunk_max_.size(); ++c) {
    chunk_weight_[c] = 0;
    if (Weight(chunk_max_[c]) == 0) continue;
    std::array<int32_t, kChunk> weights;
    WeighChunk(c, weights);
    for (const int32_t weight : weights) chunk_weight_[c] += static_cast<uint32_t>(weight);
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
  ordered_ = false;
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
  ordered_ = false;
}

// Which of kBins equal steps below the maximum each logit of a chunk lies in; NaN and what is far below in the last.
void Row::BinChunk(size_t chunk, float scale, std::array<int32_t, kChunk>& bins) const {
  const float* const data = ChunkData(chunk);
  const float top = max_logit_;
  for (size_t i = 0; i < kChunk; ++i) {
    const float bin = (top - data[i]) * scale;
    bins[i] = static_cast<int32_t>(bin < static_cast<float>(kBins - 1) ? bin : static_cast<float>(kBins - 1));
  }
}

// For flat distributions: weights are summed by steps of logit, and only the step in which the share is reached is selected from.
void Row::KeepShareByBins(double target) {
  const float scale =
      std::min(static_cast<float>(kBins) / kWeightRange * inverse_temperature_, std::numeric_limits<float>::max());
  std::array<uint64_t, kBins> sums{};
  std::array<int32_t, kChunk> bins;
  std::array<int32_t, kChunk> weights;
  for (size_t c = 0; c < chunk_max_.size(); ++c) {
    if (chunk_weight_[c] == 0) continue;
    BinChunk(c, scale, bins);
    WeighChunk(c, weights);
    for (size_t i = 0; i < kChunk; ++i) sums[static_cast<size_t>(bins[i])] += static_cast<uint32_t>(weights[i]);
  }
  int32_t border = 0;
  uint64_t above = 0;
  for (; border + 1 < kBins; ++border) {
    const uint64_t next = above + sums[static_cast<size_t>(border)];
    if (static_cast<double>(next) >= target) break;
    above = next;
  }
  kept_ = 0;
  for (size_t c = 0; c < chunk_max_.size(); ++c) {
    if (chunk_weight_[c] == 0) continue;
    BinChunk(c, scale, bins);
    for (size_t i = c * kChunk; i < ChunkEnd(c); ++i) {
      if (bins[i % kChunk] != border || !(logits_[i] > kLowest)) continue;
      candidates_[kept_++] = {.logit = logits_[i], .id = static_cast<TokenId>(i)};
    }
  }
  WeighCandidates();
  KeepShareOfCandidates(target - static_cast<double>(above));
  GatherUntil(*std::max_element(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(kept_), Before));
}

void Row::KeepShare(double share) {
  FindMaxima();
  if (!has_best()) return;
  if (!keeps_all_) {
    WeighCandidates();
    return KeepShareOfCandidates(share * static_cast<double>(CandidateWeight()));
  }
  const double target = share * static_cast<double>(WeighAll());
  // Mostly a few tokens hold the share: look at those first.
  for (size_t count = 64; count <= chunk_max_.size() / 4; count *= 8) {
    Gather(ChunkBound(count));
    WeighCandidates();
    if (static_cast<double>(CandidateWeight()) >= target) return KeepShareOfCandidates(target);
  }
  KeepShareByBins(target);
}

void Row::KeepRatio(float ratio) {
  FindMaxima();
  if (!has_best()) return;
  if (keeps_all_) {
    // A little lower than the exact border, which the comparison below then draws.
    const double border = (Log(static_cast<double>(ratio)) - 1e-3) / static_cast<double>(inverse_temperature_);
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

// Every selection leaves a beginning of the order Before, so a long list need not be sorted: its last member says what to gather.
void Row::OrderById() {
  constexpr size_t kWorthGathering = 256;
  if (ordered_) return;
  const auto end = candidates_.begin() + static_cast<ptrdiff_t>(kept_);
  if (kept_ >= kWorthGathering) return GatherUntil(*std::max_element(candidates_.begin(), end, Before));
  std::sort(candidates_.begin(), end, [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  ordered_ = true;
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
    float part[kChunk];
    const float* const data = ChunkData(c);
    for (size_t i = 0; i < kChunk; ++i) part[i] = ExpNegative(data[i] - max_logit_);
    for (size_t width = kChunk / 2; width > 0; width /= 2) {
      for (size_t i = 0; i < width; ++i) part[i] += part[i + width];
    }
    total += static_cast<double>(part[0]);
  }
  return total;
}

}  // namespace millrace::engine
