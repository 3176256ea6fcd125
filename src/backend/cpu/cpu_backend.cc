// Making a backend, and the beginning and end of a step. The ops are in ops.cc.
#include "backend/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/clock.h"
#include "base/math.h"

namespace millrace::backend_cpu {
namespace {

constexpr uint32_t kMaxBatchTokens = 1U << 16;

// A softcap, or none. False for NaN, too.
bool IsCap(float cap) { return cap >= 0 && cap <= std::numeric_limits<float>::max(); }

uint32_t RoundUp(uint32_t value, uint32_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

Status CpuBackend::CheckOptions(const CpuOptions& options) {
  if (options.slots == 0 || options.context == 0 || options.max_batch_tokens == 0 || options.max_batch_tokens > kMaxBatchTokens) {
    return Error(Code::kInvalidArgument,
                 "{} slots, context {}, {} tokens a step: expected at least 1 of each, at most {} tokens a step", options.slots,
                 options.context, options.max_batch_tokens, kMaxBatchTokens);
  }
  if (options.threads > kernels::ThreadPool::kMaxThreads) {
    return Error(Code::kInvalidArgument, "{} threads: expected at most {}", options.threads, kernels::ThreadPool::kMaxThreads);
  }
  const auto available = kernels::AvailableIsas();
  if (std::find(available.begin(), available.end(), options.isa) == available.end()) {
    return Error(Code::kUnsupported, "instruction set {}: this processor or this build does not have it",
                 kernels::IsaName(options.isa));
  }
  return {};
}

Status CpuBackend::CheckLayer(const model::ModelConfig& config, const model::LayerConfig& layer) {
  if (layer.kv_heads == 0 || layer.heads == 0 || layer.heads % layer.kv_heads != 0) {
    return Error(Code::kInvalidArgument, "{} query heads for {} key heads: expected a multiple", layer.heads, layer.kv_heads);
  }
  if (layer.head_dim == 0 || layer.head_dim % 8 != 0 || layer.head_dim > kMaxHeadDim) {
    return Error(Code::kUnsupported, "heads of {} elements: expected a multiple of 8 up to {}", layer.head_dim, kMaxHeadDim);
  }
  if (layer.rope < -1 || layer.rope >= static_cast<int32_t>(config.ropes.size())) {
    return Error(Code::kInvalidArgument, "rope {}: expected -1 or one of {}", layer.rope, config.ropes.size());
  }
  if (layer.rope >= 0 && config.ropes[layer.rope].dims() > layer.head_dim) {
    return Error(Code::kInvalidArgument, "{} rotated elements in heads of {}: expected at most as many",
                 config.ropes[layer.rope].dims(), layer.head_dim);
  }
  if (!IsCap(layer.attention_softcap)) {
    return Error(Code::kInvalidArgument, "attention softcap {}: expected 0 or a positive number", layer.attention_softcap);
  }
  if (layer.mlp != model::MlpKind::kExperts) {
    if (layer.ffn == 0) return Error(Code::kInvalidArgument, "an MLP of width 0");
    return {};
  }
  const model::ExpertsConfig& experts = layer.experts;
  if (experts.ffn == 0 || experts.used == 0 || experts.used > experts.count || experts.count > kMaxExperts) {
    return Error(Code::kInvalidArgument, "{} of {} experts of width {}: expected 1 to all of at most {}, not empty", experts.used,
                 experts.count, experts.ffn, kMaxExperts);
  }
  return {};
}

Status CpuBackend::CheckConfig(const model::ModelConfig& config) {
  if (config.hidden == 0 || config.vocab == 0) {
    return Error(Code::kInvalidArgument, "hidden size {}, vocabulary {}: expected at least 1", config.hidden, config.vocab);
  }
  if (!IsCap(config.logit_softcap)) {
    return Error(Code::kInvalidArgument, "logit softcap {}: expected 0 or a positive number", config.logit_softcap);
  }
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const Status status = CheckLayer(config, config.layers[i]);
    if (!status.ok()) return status.Within(fmt::format("layer {}", i));
  }
  return {};
}

Result<std::unique_ptr<CpuBackend>> CpuBackend::Create(const model::ModelConfig& config, const CpuOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  RETURN_IF_ERROR(CheckConfig(config));
  auto backend = std::unique_ptr<CpuBackend>(new CpuBackend(config, options, options.threads));
  RETURN_IF_ERROR(backend->Reserve());
  return backend;
}

CpuBackend::CpuBackend(const model::ModelConfig& config, const CpuOptions& options, uint32_t threads)
    : config_(config),
      options_(options),
      kernels_(kernels::TableFor(options.isa)),
      pool_(threads),
      weights_(pool_, options.reference) {
  if (options_.max_outputs == 0) options_.max_outputs = options_.max_batch_tokens;
  if (options_.reference) options_.kv_type = model::KvType::kF32;
}

Status CpuBackend::Reserve() {
  KvShape shape{.type = options_.kv_type, .blocks = options_.blocks, .slots = options_.slots, .context = options_.context};
  if (shape.blocks == 0) {
    const uint64_t blocks = uint64_t{shape.slots} * (RoundUp(shape.context, kBlockTokens) / kBlockTokens);
    shape.blocks = static_cast<uint32_t>(std::min<uint64_t>(blocks, UINT32_MAX - 1));
  }
  ASSIGN_OR_RETURN(kv_, KvStore::Create(config_, shape));
  Measure();
  LayOut(scratch_);
  RETURN_IF_ERROR(scratch_.Commit());
  LayOut(scratch_);
  results_.reserve(options_.max_outputs);
  for (size_t i = 0; i < ropes_.size(); ++i) FillRopeTable(config_.ropes[i], ropes_[i]);
  FillInfo();
  return {};
}

// The largest sizes over all layers.
void CpuBackend::Measure() {
  max_width_ = config_.hidden;
  max_qkv_ = config_.hidden;
  for (const model::LayerConfig& layer : config_.layers) {
    const uint32_t attn = layer.heads * layer.head_dim;
    max_attn_ = std::max(max_attn_, attn);
    max_qkv_ = std::max(max_qkv_, attn + 2 * layer.kv_heads * layer.head_dim);
    max_width_ = std::max(max_width_, attn);
    if (layer.mlp == model::MlpKind::kExperts) {
      const model::ExpertsConfig& experts = layer.experts;
      max_experts_ = std::max(max_experts_, experts.count);
      max_experts_used_ = std::max(max_experts_used_, experts.used);
      max_ffn_ = std::max(max_ffn_, experts.used * experts.ffn);
      max_width_ = std::max(max_width_, experts.ffn);
      const uint64_t input = RoundUp(std::max(config_.hidden, experts.ffn), kernels::kGroupCols);
      max_expert_inputs_ = std::max(max_expert_inputs_, experts.used * input);
    } else {
      max_ffn_ = std::max(max_ffn_, layer.ffn);
      max_width_ = std::max(max_width_, layer.ffn);
    }
  }
  max_width_ = RoundUp(max_width_, kernels::kGroupCols);
}

CpuBackend::RowMemory CpuBackend::TakeRows(Scratch& scratch, size_t elements) {
  const size_t groups = elements / kernels::kGroupCols;
  return {.floats = scratch.Take<float>(elements),
          .codes = scratch.Take<int8_t>(elements),
          .scales = scratch.Take<float>(groups),
          .sums = scratch.Take<float>(groups),
          .minus_sums = scratch.Take<int16_t>(groups * kernels::kMinusSums)};
}

void CpuBackend::LayOutExperts(Scratch& scratch) {
  const size_t tokens = options_.max_batch_tokens;
  const size_t pairs = tokens * max_experts_used_;
  experts_ = {.logits = scratch.Take<float>(tokens * max_experts_),
              .chosen = scratch.Take<uint32_t>(pairs),
              .shares = scratch.Take<float>(pairs),
              .pairs = scratch.Take<uint32_t>(pairs),
              .tokens = scratch.Take<uint32_t>(pairs),
              .begin = scratch.Take<uint32_t>(max_experts_ + 1),
              .active = scratch.Take<uint32_t>(max_experts_),
              .sums = scratch.Take<float>(pairs * config_.hidden)};
}

void CpuBackend::LayOut(Scratch& scratch) {
  const size_t tokens = options_.max_batch_tokens;
  x_ = scratch.Take<float>(tokens * config_.hidden);
  qkv_ = scratch.Take<float>(tokens * max_qkv_);
  attn_ = scratch.Take<float>(tokens * max_attn_);
  gate_ = scratch.Take<float>(tokens * max_ffn_);
  up_ = scratch.Take<float>(tokens * max_ffn_);
  ropes_.clear();
  for (const model::RopeConfig& rope : config_.ropes) {
    const size_t pairs = rope.frequencies.size();
    ropes_.push_back({.adjacent = rope.style == model::RopeStyle::kAdjacentPairs,
                      .pairs = static_cast<uint32_t>(pairs),
                      .cos = scratch.Take<float>(options_.context * pairs),
                      .sin = scratch.Take<float>(options_.context * pairs)});
  }
  positions_ = scratch.Take<uint32_t>(tokens);
  slots_ = scratch.Take<uint32_t>(tokens);
  output_tokens_ = scratch.Take<uint32_t>(options_.max_outputs);
  const size_t rows = std::max<size_t>(tokens, options_.max_outputs);
  shared_rows_ = TakeRows(scratch, std::max(rows * max_width_, tokens * max_expert_inputs_));
  own_rows_.clear();
  for (uint32_t i = 0; i < pool_.threads(); ++i) own_rows_.push_back(TakeRows(scratch, size_t{kRedundantRows} * max_width_));
  LayOutExperts(scratch);
  AttentionLimits limits{.threads = pool_.threads(), .max_tokens = options_.max_batch_tokens, .context = options_.context};
  for (const model::LayerConfig& layer : config_.layers) {
    limits.max_heads = std::max(limits.max_heads, layer.heads);
    limits.max_head_dim = std::max(limits.max_head_dim, layer.head_dim);
  }
  attention_.TakeScratch(limits, scratch);
  logits_ = scratch.Take<float>(size_t{options_.max_outputs} * config_.vocab);  // last: large, and mostly never touched
}

void CpuBackend::FillRopeTable(const model::RopeConfig& config, const RopeTable& table) {
  const double magnitude = config.magnitude;
  kernels::ForEach(pool_, "rope_table", {.items = options_.context, .grain = 64}, [&](uint32_t, size_t position) {
    for (size_t i = 0; i < table.pairs; ++i) {
      const double angle = static_cast<double>(position) * config.frequencies[i];
      table.cos[position * table.pairs + i] = static_cast<float>(magnitude * Cos(angle));
      table.sin[position * table.pairs + i] = static_cast<float>(magnitude * Sin(angle));
    }
  });
}

void CpuBackend::FillInfo() {
  info_ = {.engine = "cpu",
           .isa = kernels::IsaName(options_.isa).data(),
           .threads = pool_.threads(),
           .depth = 1,
           .block_tokens = kBlockTokens,
           .blocks = kv_.shape().blocks,
           .slots = options_.slots,
           .max_batch_tokens = options_.max_batch_tokens,
           .context = options_.context,
           .kv_contiguous = false,
           .mixes_prefill_and_decode = true,
           .samples = false,
           .deterministic = true,
           .kv_type = options_.kv_type,
           .weight_bytes = 0,
           .kv_pool_bytes = kv_.pool_bytes()};
}

Result<CpuBackend::Weight> CpuBackend::Load(std::span<const weights::TensorView> views) {
  ASSIGN_OR_RETURN(const uint32_t index, weights_.Add(views));
  info_.weight_bytes = weights_.resident_bytes() + vectors_.resident_bytes();
  return Weight{index};
}

Result<CpuBackend::Weight> CpuBackend::LoadVector(std::span<const weights::TensorView> views) {
  ASSIGN_OR_RETURN(const uint32_t index, vectors_.Add(views));
  info_.weight_bytes = weights_.resident_bytes() + vectors_.resident_bytes();
  return Weight{index};
}

Status CpuBackend::CheckSpans(const model::StepBatch& batch) const {
  size_t next = 0;
  for (const model::SpanOfTokens& span : batch.spans) {
    if (span.token_begin != next || span.token_count == 0 || span.token_count > batch.tokens.size() - next) {
      return Error(Code::kInvalidArgument, "span of {} tokens from {} on: expected to begin at {} and to end by {}",
                   span.token_count, span.token_begin, next, batch.tokens.size());
    }
    if (span.adapter != -1) return Error(Code::kUnsupported, "adapter {}: this backend has none", span.adapter);
    next += span.token_count;
  }
  if (next != batch.tokens.size()) {
    return Error(Code::kInvalidArgument, "spans cover {} of {} tokens", next, batch.tokens.size());
  }
  return {};
}

Status CpuBackend::CheckBatch(const model::StepBatch& batch) const {
  if (batch.tokens.empty() || batch.tokens.size() > options_.max_batch_tokens) {
    return Error(Code::kInvalidArgument, "step of {} tokens: expected 1 to {}", batch.tokens.size(), options_.max_batch_tokens);
  }
  for (const TokenId token : batch.tokens) {
    if (token < 0 || static_cast<uint32_t>(token) >= config_.vocab) {
      return Error(Code::kInvalidArgument, "token {}: expected 0 to {}", token, config_.vocab - 1);
    }
  }
  RETURN_IF_ERROR(CheckSpans(batch));
  if (batch.outputs.size() > options_.max_outputs) {
    return Error(Code::kInvalidArgument, "{} output rows: expected at most {}", batch.outputs.size(), options_.max_outputs);
  }
  for (const model::OutputRow& output : batch.outputs) {
    if (output.token_index >= batch.tokens.size()) {
      return Error(Code::kInvalidArgument, "output of token {}: the step has {}", output.token_index, batch.tokens.size());
    }
    if (output.kind != model::OutputKind::kLogits) return Error(Code::kUnsupported, "this backend gives logits only");
  }
  if (!batch.positions.empty() || !batch.parents.empty()) {
    return Error(Code::kUnsupported, "explicit positions and token trees: this backend has neither");
  }
  return kv_.CheckCopies(batch.kv_copies);
}

Status CpuBackend::CheckSlots(const model::StepBatch& batch) const {
  for (const model::SpanOfTokens& span : batch.spans) {
    RETURN_IF_ERROR(kv_.CheckSlot(span.slot, uint64_t{span.first_position} + span.token_count));
  }
  return {};
}

Status CpuBackend::Begin(const model::StepBatch& batch) {
  begin_ns_ = MonotonicNs();
  begin_section_ns_ = pool_.section_ns();
  weight_bytes_ = 0;
  results_.clear();
  RETURN_IF_ERROR(CheckBatch(batch));
  RETURN_IF_ERROR(kv_.ApplyChanges(batch.block_changes));
  RETURN_IF_ERROR(CheckSlots(batch));
  for (const model::KvCopy& copy : batch.kv_copies) kv_.Copy(copy);
  batch_ = batch;
  for (const model::SpanOfTokens& span : batch.spans) {
    for (uint32_t i = 0; i < span.token_count; ++i) {
      positions_[span.token_begin + i] = span.first_position + i;
      slots_[span.token_begin + i] = span.slot;
    }
  }
  for (size_t i = 0; i < batch.outputs.size(); ++i) output_tokens_[i] = batch.outputs[i].token_index;
  return {};
}

// Of each span, the positions that at least one of its tokens sees.
uint64_t CpuBackend::KvBytesRead() const {
  uint64_t elements = 0;
  for (const model::SpanOfTokens& span : batch_.spans) {
    const uint64_t stored = uint64_t{span.first_position} + span.token_count;
    for (const model::LayerConfig& layer : config_.layers) {
      const uint64_t seen = layer.window == 0 ? stored : std::min(stored, uint64_t{layer.window} + span.token_count - 1);
      elements += seen * 2 * layer.kv_heads * layer.head_dim;
    }
  }
  return elements * model::KvBytes(options_.kv_type);
}

Result<model::StepResult> CpuBackend::End() {
  for (size_t i = 0; i < batch_.outputs.size(); ++i) {
    results_.emplace_back().logits = std::span<const float>(logits_ + i * config_.vocab, config_.vocab);
  }
  model::StepResult result;
  result.outputs = results_;
  result.weight_bytes = weight_bytes_;
  result.kv_bytes = KvBytesRead();
  batch_ = {};  // its arrays may go away now
  result.kernel_ns = pool_.section_ns() - begin_section_ns_;
  result.idle_ns = MonotonicNs() - begin_ns_ - result.kernel_ns;
  return result;
}

}  // namespace millrace::backend_cpu
