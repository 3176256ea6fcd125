// Making a backend, and the beginning and end of a step. The ops are in ops.cc.
#include "backend/cpu/cpu_backend.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/math.h"

namespace millrace::backend_cpu {
namespace {

constexpr uint32_t kMaxBatchTokens = 1U << 16;

uint32_t RoundUp(uint32_t value, uint32_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

Status CpuBackend::CheckConfig(const model::ModelConfig& config, const CpuOptions& options) {
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
  for (const model::LayerConfig& layer : config.layers) {
    if (layer.kv_heads == 0 || layer.heads % layer.kv_heads != 0) {
      return Error(Code::kInvalidArgument, "{} query heads for {} key heads: expected a multiple", layer.heads, layer.kv_heads);
    }
    if (layer.head_dim == 0 || layer.head_dim % 8 != 0 || layer.head_dim > kMaxHeadDim) {
      return Error(Code::kUnsupported, "heads of {} elements: expected a multiple of 8 up to {}", layer.head_dim, kMaxHeadDim);
    }
    if (layer.rope >= 0 && config.ropes[layer.rope].dims() > layer.head_dim) {
      return Error(Code::kInvalidArgument, "{} rotated elements in heads of {}: expected at most as many",
                   config.ropes[layer.rope].dims(), layer.head_dim);
    }
  }
  return {};
}

Result<std::unique_ptr<CpuBackend>> CpuBackend::Create(const model::ModelConfig& config, const CpuOptions& options) {
  RETURN_IF_ERROR(CheckConfig(config, options));
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
  max_width_ = config_.hidden;
  for (const model::LayerConfig& layer : config_.layers) {
    const uint32_t attn = layer.heads * layer.head_dim;
    max_attn_ = std::max(max_attn_, attn);
    max_qkv_ = std::max(max_qkv_, attn + 2 * layer.kv_heads * layer.head_dim);
    max_ffn_ = std::max(max_ffn_, layer.ffn);
    max_width_ = std::max({max_width_, attn, layer.ffn});
  }
  max_width_ = RoundUp(max_width_, kernels::kGroupCols);
  LayOut(scratch_);
  RETURN_IF_ERROR(scratch_.Commit());
  LayOut(scratch_);
  results_.reserve(options_.max_outputs);
  FillRopeTable();
  FillInfo();
  return {};
}

CpuBackend::RowMemory CpuBackend::TakeRows(Scratch& scratch, size_t rows) const {
  const size_t groups = max_width_ / kernels::kGroupCols;
  return {.floats = scratch.Take<float>(rows * max_width_),
          .codes = scratch.Take<int8_t>(rows * max_width_),
          .scales = scratch.Take<float>(rows * groups),
          .sums = scratch.Take<float>(rows * groups),
          .minus_sums = scratch.Take<int16_t>(rows * groups * kernels::kMinusSums)};
}

void CpuBackend::LayOut(Scratch& scratch) {
  const size_t tokens = options_.max_batch_tokens;
  const size_t pairs = config_.ropes[0].frequencies.size();
  x_ = scratch.Take<float>(tokens * config_.hidden);
  qkv_ = scratch.Take<float>(tokens * max_qkv_);
  attn_ = scratch.Take<float>(tokens * max_attn_);
  gate_ = scratch.Take<float>(tokens * max_ffn_);
  up_ = scratch.Take<float>(tokens * max_ffn_);
  rope_cos_ = scratch.Take<float>(options_.context * pairs);
  rope_sin_ = scratch.Take<float>(options_.context * pairs);
  positions_ = scratch.Take<uint32_t>(tokens);
  slots_ = scratch.Take<uint32_t>(tokens);
  output_tokens_ = scratch.Take<uint32_t>(options_.max_outputs);
  shared_rows_ = TakeRows(scratch, std::max<size_t>(tokens, options_.max_outputs));
  own_rows_.clear();
  for (uint32_t i = 0; i < pool_.threads(); ++i) own_rows_.push_back(TakeRows(scratch, kRedundantRows));
  AttentionLimits limits{.threads = pool_.threads(), .max_tokens = options_.max_batch_tokens, .context = options_.context};
  for (const model::LayerConfig& layer : config_.layers) {
    limits.max_heads = std::max(limits.max_heads, layer.heads);
    limits.max_head_dim = std::max(limits.max_head_dim, layer.head_dim);
  }
  attention_.TakeScratch(limits, scratch);
  logits_ = scratch.Take<float>(size_t{options_.max_outputs} * config_.vocab);  // last: large, and mostly never touched
}

void CpuBackend::FillRopeTable() {
  const std::vector<double>& frequencies = config_.ropes[0].frequencies;
  const size_t pairs = frequencies.size();
  kernels::ForEach(pool_, "rope_table", {.items = options_.context, .grain = 64}, [&](uint32_t, size_t position) {
    for (size_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(position) * frequencies[i];
      rope_cos_[position * pairs + i] = static_cast<float>(Cos(angle));
      rope_sin_[position * pairs + i] = static_cast<float>(Sin(angle));
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
  info_.weight_bytes = weights_.resident_bytes();
  return Weight{index};
}

Result<CpuBackend::Weight> CpuBackend::LoadVector(std::span<const weights::TensorView> views) { return Load(views); }

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

Result<model::StepResult> CpuBackend::End() {
  for (size_t i = 0; i < batch_.outputs.size(); ++i) {
    results_.emplace_back().logits = std::span<const float>(logits_ + i * config_.vocab, config_.vocab);
  }
  model::StepResult result;
  result.outputs = results_;
  result.weight_bytes = weight_bytes_;
  for (const model::SpanOfTokens& span : batch_.spans) {
    result.kv_bytes += (uint64_t{span.first_position} + span.token_count) * kv_.bytes_per_token();
  }
  batch_ = {};  // its arrays may go away now
  result.kernel_ns = pool_.section_ns() - begin_section_ns_;
  result.idle_ns = MonotonicNs() - begin_ns_ - result.kernel_ns;
  return result;
}

}  // namespace millrace::backend_cpu
