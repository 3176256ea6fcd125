// Experts: a router chooses some of many MLPs for each token.
//
// The rows of a step are grouped by expert, so that each expert's weights are read once however many tokens chose it, and those of the
// others not at all. A token's experts are added in ascending order, which is the same order in any batch.
#include <algorithm>
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/run_product.h"
#include "base/check.h"

namespace millrace::backend_cpu {
namespace {

constexpr size_t kSumColumns = 512;  // of one token, in one piece

// Sum in 16 lanes, and their tree: the order of all float sums.
float SumOf(const float* x, uint32_t count) {
  float lanes[16] = {};
  for (uint32_t i = 0; i < count; ++i) lanes[i % 16] += x[i];
  for (uint32_t half = 8; half > 0; half /= 2) {
    for (uint32_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// Pieces of (expert, strips): calls fn(index among the active experts, strips) for each expert that has a part in `range`.
template <typename Fn>
void ForExperts(kernels::IndexRange range, size_t strips, Fn fn) {
  const size_t units = UnitsOf(strips);
  for (size_t at = range.begin; at < range.end;) {
    const size_t expert = at / units;
    const size_t stop = std::min(range.end, (expert + 1) * units);
    fn(expert, StripsOf({at - expert * units, stop - expert * units}, strips));
    at = stop;
  }
}

// All strips of the active experts, `matrices` of which are read at a time, in pieces for about as many rows as an expert has.
kernels::SectionSize ExpertPieces(const StackedWeight& weight, size_t matrices, size_t active, size_t pairs) {
  const size_t strips = kernels::Strips(weight.segments.front().matrix.rows);
  const size_t rows = std::max<size_t>(1, pairs / active);
  kernels::SectionSize size = PiecesOf(strips, matrices * StripBytes(weight), static_cast<uint32_t>(rows));
  size.items *= active;
  return size;
}

}  // namespace

// Softmax over all experts; the largest are chosen, ties to the lowest.
void CpuBackend::ChooseExperts(const model::ExpertsConfig& config, size_t token) {
  float* values = experts_.logits + token * config.count;
  uint32_t* chosen = experts_.chosen + token * config.used;
  float* shares = experts_.shares + token * config.used;
  const float maximum = *std::max_element(values, values + config.count);
  for (uint32_t i = 0; i < config.count; ++i) values[i] -= maximum;
  kernels_.exp(values, config.count, values);
  const float sum = SumOf(values, config.count);
  for (uint32_t i = 0; i < config.count; ++i) values[i] /= sum;
  for (uint32_t n = 0; n < config.used; ++n) {
    uint32_t best = config.count;
    for (uint32_t i = 0; i < config.count; ++i) {
      const bool taken = std::find(chosen, chosen + n, i) != chosen + n;
      if (!taken && (best == config.count || values[i] > values[best])) best = i;
    }
    chosen[n] = best;
  }
  std::sort(chosen, chosen + config.used);
  for (uint32_t n = 0; n < config.used; ++n) shares[n] = values[chosen[n]];
  if (!config.renormalise) return;
  float total = 0;
  for (uint32_t n = 0; n < config.used; ++n) total += shares[n];
  for (uint32_t n = 0; n < config.used; ++n) shares[n] /= total;
}

void CpuBackend::GroupByExpert(const model::ExpertsConfig& config) {
  const size_t pairs = batch_.tokens.size() * config.used;
  std::fill(experts_.begin, experts_.begin + config.count + 1, 0U);
  for (size_t i = 0; i < pairs; ++i) ++experts_.begin[experts_.chosen[i] + 1];
  experts_.active_count = 0;
  for (uint32_t expert = 0; expert < config.count; ++expert) {
    if (experts_.begin[expert + 1] > 0) experts_.active[experts_.active_count++] = expert;
    experts_.begin[expert + 1] += experts_.begin[expert];
  }
  for (size_t i = 0; i < pairs; ++i) {  // moves each expert's begin to its end …
    const uint32_t place = experts_.begin[experts_.chosen[i]]++;
    experts_.pairs[i] = place;
    experts_.tokens[place] = static_cast<uint32_t>(i / config.used);
  }
  for (uint32_t expert = config.count; expert > 0; --expert) experts_.begin[expert] = experts_.begin[expert - 1];  // … and back
  experts_.begin[0] = 0;
}

void CpuBackend::CountExperts(const StackedWeight& gate_up, const StackedWeight& down) {
  for (uint32_t i = 0; i < experts_.active_count; ++i) {
    const size_t expert = experts_.active[i];
    weight_bytes_ += gate_up.segments[2 * expert].source_bytes + gate_up.segments[2 * expert + 1].source_bytes;
    weight_bytes_ += down.segments[expert].source_bytes;
  }
}

// gate_ = act(gate n) * (up n), a row for each pair.
void CpuBackend::RunExpertsIn(const model::ExpertsOp<Weight>& op, const RowSource& source, const NormWeights* norm) {
  const StackedWeight& weight = weights_.Get(op.gate_up.index);
  const size_t ffn = op.experts.ffn;
  const size_t strips = kernels::Strips(op.experts.ffn);
  const size_t pairs = batch_.tokens.size() * op.experts.used;
  PrepareShared(source, norm, weight);
  pool_.Run("experts_in", ExpertPieces(weight, 2, experts_.active_count, pairs), [&](kernels::SectionContext& context) {
    const ReadyRows rows = Prepare(context.thread(), source, norm, weight);
    do {
      ForExperts(context.range(), strips, [&](size_t index, kernels::IndexRange part) {
        const uint32_t expert = experts_.active[index];
        const size_t first = experts_.begin[expert];
        const size_t count = experts_.begin[expert + 1] - first;
        // A single token is the one row of all its experts.
        const ReadyRows input = source.rows == 1 ? rows : rows.Part(first, count);
        const kernels::PackedMatrix& gate = weight.segments[2 * size_t{expert}].matrix;
        float* gates = gate_ + first * ffn;
        float* ups = up_ + first * ffn;
        Multiply(gate, part, input, {.data = gates, .stride = ffn, .add = false});
        Multiply(weight.segments[2 * size_t{expert} + 1].matrix, part, input, {.data = ups, .stride = ffn, .add = false});
        const kernels::IndexRange columns = RowsOf(part, gate);
        for (size_t row = 0; row < count; ++row) {
          const size_t at = row * ffn + columns.begin;
          Activate(op.activation, ups + at, columns.end - columns.begin, gates + at);
        }
      });
    } while (context.Next());
  });
}

// experts_.sums = down gate_, a row for each pair.
void CpuBackend::RunExpertsDown(const model::ExpertsOp<Weight>& op) {
  const StackedWeight& weight = weights_.Get(op.down.index);
  const size_t strips = kernels::Strips(config_.hidden);
  const auto pairs = static_cast<uint32_t>(batch_.tokens.size() * op.experts.used);
  const RowSource source{.data = gate_, .stride = op.experts.ffn, .index = nullptr, .rows = pairs, .cols = op.experts.ffn};
  PrepareShared(source, nullptr, weight);
  pool_.Run("experts_down", ExpertPieces(weight, 1, experts_.active_count, pairs), [&](kernels::SectionContext& context) {
    const ReadyRows rows = Prepare(context.thread(), source, nullptr, weight);
    do {
      ForExperts(context.range(), strips, [&](size_t index, kernels::IndexRange part) {
        const uint32_t expert = experts_.active[index];
        const size_t first = experts_.begin[expert];
        float* sums = experts_.sums + first * config_.hidden;
        Multiply(weight.segments[expert].matrix, part, rows.Part(first, experts_.begin[expert + 1] - first),
                 {.data = sums, .stride = config_.hidden, .add = false});
      });
    } while (context.Next());
  });
}

// A token's row of qkv_ = sum of share * expert, experts ascending.
void CpuBackend::SumExperts(const model::ExpertsConfig& config, size_t token, kernels::IndexRange columns) const {
  float* to = qkv_ + token * max_qkv_;
  std::fill(to + columns.begin, to + columns.end, 0.0F);
  for (size_t i = token * config.used; i < (token + 1) * config.used; ++i) {
    const float* from = experts_.sums + size_t{experts_.pairs[i]} * config_.hidden;
    for (size_t at = columns.begin; at < columns.end; ++at) to[at] += experts_.shares[i] * from[at];
  }
}

CpuBackend::Act CpuBackend::Experts(Act x, const model::ExpertsOp<Weight>& op) {
  const auto norm = Use(op.norm);
  const NormWeights* norm_weights = norm ? &*norm : nullptr;
  const StackedWeight& gate_up = weights_.Get(op.gate_up.index);
  const StackedWeight& down = weights_.Get(op.down.index);
  CHECK(gate_up.segments.size() == 2 * size_t{op.experts.count} && down.segments.size() == op.experts.count,
        "one for each expert");
  const size_t tokens = batch_.tokens.size();
  const Product router{.source = AllRows(x),
                       .norm = norm_weights,
                       .weight = Use(op.router),
                       .out = {.data = experts_.logits, .stride = op.experts.count, .add = false}};
  RunProduct("router", router, [](const WeightSegment&, kernels::IndexRange) {});
  kernels::ForEach(pool_, "choose", {.items = tokens, .grain = 4},
                   [&](uint32_t, size_t token) { ChooseExperts(op.experts, token); });
  GroupByExpert(op.experts);
  CountExperts(gate_up, down);

  RowSource source = AllRows(x);
  if (tokens > 1) {
    source.index = experts_.tokens;
    source.rows = static_cast<uint32_t>(tokens * op.experts.used);
  }
  RunExpertsIn(op, source, norm_weights);
  RunExpertsDown(op);
  const auto post_norm = Use(op.post_norm);
  const size_t parts = UnitsOf(config_.hidden, kSumColumns);
  kernels::ForEach(pool_, "experts_sum", {.items = tokens * parts, .grain = 2}, [&](uint32_t, size_t item) {
    const size_t token = item / parts;
    const size_t begin = item % parts * kSumColumns;
    const size_t end = std::min<size_t>(begin + kSumColumns, config_.hidden);
    SumExperts(op.experts, token, {begin, end});
    const float* sum = qkv_ + token * max_qkv_;
    float* to = x.data + token * x.stride;
    for (size_t i = begin; !post_norm && i < end; ++i) to[i] += op.scale * sum[i];
  });
  if (post_norm) AddNormalised(*post_norm, op.scale, x);
  return x;
}

}  // namespace millrace::backend_cpu
