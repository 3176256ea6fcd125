// One row of logits on its way through the sampler chain, and the selections that the steps of the chain are made of.
//
// Nothing sorts a vocabulary. The row is cut into chunks of kChunk tokens whose maxima are found in one pass; a selection then
// visits only the chunks that can hold what it looks for. Probabilities are 30-bit integers relative to the likeliest token, so
// that sums are exact and do not depend on their order. All storage is made once: no call allocates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"

namespace millrace::engine {

struct Candidate {
  float logit = 0;
  TokenId id = kNoToken;
  uint32_t weight = 0;  // Row::Weight of the logit, set by WeighCandidates
};

// The order "more likely": higher logit first, then lower id. Total, because ids differ.
inline bool Before(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; }

class Row {
 public:
  static constexpr size_t kChunk = 32;
  static constexpr float kWeightOne = 0x1p30F;  // weight of the likeliest token

  static constexpr float kWeightRange = 20.8F;  // weights are 0 below max - kWeightRange at temperature 1
  static constexpr int32_t kBins = 512;

  explicit Row(uint32_t vocab);

  // Starts with a runner's logits, which must stay valid until the row is done. All tokens are kept, temperature is 1.
  void Begin(std::span<const float> raw);

  // The logits for changing; copied at the first call. Only before anything below has been called.
  std::span<float> Edit();
  std::span<const float> logits() const { return logits_; }

  // The likeliest token, ties to the lowest id; kNoToken when the largest logit is infinite or every one is NaN. Draw too.
  TokenId Best();
  float max_logit();

  void set_temperature(float temperature);  // > 0
  float inverse_temperature() const { return inverse_temperature_; }

  // True while every token is kept; else kept() holds the rest, in no order.
  bool keeps_all() const { return keeps_all_; }
  std::span<Candidate> kept() { return {candidates_.data(), kept_}; }

  // Keeps exactly the `count` likeliest of what is kept now.
  void KeepTop(size_t count);
  // Keeps the smallest set of likeliest tokens whose share of what is kept now is at least `share`, in (0, 1).
  void KeepShare(double share);
  // Keeps what is at least `ratio`, in (0, 1], as likely as the likeliest.
  void KeepRatio(float ratio);

  // The token at `uniform` in [0, 1) of the cumulative distribution over the kept tokens in id order.
  TokenId Draw(float uniform);

  // Sum over the whole vocabulary of e^(logit - max), in double with a fixed order.
  double ExpSum();

 private:
  bool has_best() const;
  uint32_t Weight(float logit) const;
  void FindMaxima();
  float ChunkBound(size_t count);
  void Gather(float bound);
  void GatherUntil(Candidate last);  // by value: it is one of those that are written over
  void WeighCandidates();
  void OrderById();
  uint64_t CandidateWeight() const;
  uint64_t WeighAll();
  const float* ChunkData(size_t chunk) const;  // kChunk logits; the last chunk is filled up with minus infinity
  void WeighChunk(size_t chunk, std::array<int32_t, kChunk>& weights) const;
  void BinChunk(size_t chunk, float scale, std::array<int32_t, kChunk>& bins) const;
  size_t ChunkEnd(size_t chunk) const;
  void KeepShareOfCandidates(double target);
  void KeepShareByBins(double target);
  TokenId DrawFromAll(float uniform);

  std::span<const float> logits_;
  std::vector<float> own_;
  std::array<float, kChunk> tail_{};
  std::vector<float> chunk_max_;
  std::vector<float> bounds_;  // scratch of ChunkBound
  std::vector<uint64_t> chunk_weight_;
  std::vector<Candidate> candidates_;
  size_t kept_ = 0;
  bool keeps_all_ = true;
  bool ordered_ = false;  // candidates are in id order
  bool edited_ = false;
  bool have_maxima_ = false;
  float max_logit_ = 0;
  float inverse_temperature_ = 1;
};

}  // namespace millrace::engine
