// The boundary: every call from outside goes through Guard, here or in Impl::Run.
#include "backend/mlx/mlx_backend.h"

#include <mlx/device.h>

#include <algorithm>
#include <utility>

#include "backend/mlx/device.h"
#include "backend/mlx/impl.h"

namespace millrace::backend_mlx {
namespace {

constexpr uint32_t kMaxBatchTokens = 1U << 16;

Status CheckConfig(const model::ModelConfig& config, const MlxOptions& options) {
  if (options.slots == 0 || options.context == 0 || options.max_batch_tokens == 0 || options.max_batch_tokens > kMaxBatchTokens) {
    return Error(Code::kInvalidArgument,
                 "{} slots, context {}, {} tokens a step: expected at least 1 of each, at most {} tokens a step", options.slots,
                 options.context, options.max_batch_tokens, kMaxBatchTokens);
  }
  for (const model::LayerConfig& layer : config.layers) {
    if (layer.kv_heads == 0 || layer.heads % layer.kv_heads != 0 || layer.head_dim == 0) {
      return Error(Code::kInvalidArgument, "{} query heads for {} key heads of {}: expected a multiple", layer.heads,
                   layer.kv_heads, layer.head_dim);
    }
    if (layer.rope >= 0 && config.ropes.at(static_cast<size_t>(layer.rope)).dims() > layer.head_dim) {
      return Error(Code::kInvalidArgument, "{} rotated elements in heads of {}: expected at most as many",
                   config.ropes[static_cast<size_t>(layer.rope)].dims(), layer.head_dim);
    }
  }
  return {};
}

SlabLimits LimitsOf(const MlxOptions& options) {
  const uint64_t each = (uint64_t{options.context} + kBlockTokens - 1) / kBlockTokens;
  const uint64_t blocks = options.blocks != 0 ? options.blocks : std::min<uint64_t>(each * options.slots, UINT32_MAX - 1);
  return {.blocks = static_cast<uint32_t>(blocks), .slots = options.slots, .context = options.context};
}

}  // namespace

MlxBackend::MlxBackend() = default;
MlxBackend::~MlxBackend() = default;

Result<std::unique_ptr<MlxBackend>> MlxBackend::Create(const model::ModelConfig& config, const MlxOptions& options) {
  RETURN_IF_ERROR(Guard(CheckVersion));
  RETURN_IF_ERROR(Guard([&] { return CheckConfig(config, options); }));
  std::unique_ptr<MlxBackend> backend(new MlxBackend);
  RETURN_IF_ERROR(Guard([&] { return backend->Start(config, options); }));
  return backend;
}

Status MlxBackend::Start(const model::ModelConfig& config, const MlxOptions& options) {
  MlxOptions chosen = options;
  const bool gpu = mlx::core::default_device().type == mlx::core::Device::gpu;
  if (chosen.compute == Compute::kAutomatic) chosen.compute = gpu ? Compute::kF16 : Compute::kF32;
  if (chosen.reference) {
    chosen.compute = Compute::kF32;
    chosen.kv_type = model::KvType::kF32;
  }
  impl_ = std::make_unique<Impl>(config, chosen, LimitsOf(chosen));
  device_ = gpu ? "gpu" : "processor";
  FillInfo(chosen);
  return {};
}

void MlxBackend::FillInfo(const MlxOptions& options) {
  const SlabLimits& limits = impl_->kv().limits();
  info_ = {.engine = "mlx",
           .isa = device_.c_str(),
           .threads = 1,
           .depth = kDepth,
           .block_tokens = kBlockTokens,
           .blocks = limits.blocks,
           .slots = options.slots,
           .max_batch_tokens = options.max_batch_tokens,
           .context = options.context,
           .kv_contiguous = true,
           .mixes_prefill_and_decode = true,
           .samples = true,
           .deterministic = false,
           .kv_type = options.kv_type,
           .weight_bytes = 0,
           .kv_pool_bytes = uint64_t{limits.blocks} * kBlockTokens * impl_->kv().bytes_per_token()};
}

Result<MlxBackend::Weight> MlxBackend::Load(std::span<const weights::TensorView> views) {
  ASSIGN_OR_RETURN(const uint32_t index, Guard([&] { return impl_->weights().AddMatrix(views); }));
  info_.weight_bytes = impl_->weights().resident_bytes();
  return Weight{index};
}

Result<MlxBackend::Weight> MlxBackend::LoadVector(std::span<const weights::TensorView> views) {
  ASSIGN_OR_RETURN(const uint32_t index, Guard([&] { return impl_->weights().AddVector(views); }));
  info_.weight_bytes = impl_->weights().resident_bytes();
  return Weight{index};
}

std::string MlxBackend::DescribeWeights() const { return impl_->weights().Describe(); }

Status MlxBackend::Begin(const model::StepBatch& batch) {
  return Guard([&] { return impl_->Begin(batch); });
}

MlxBackend::Act MlxBackend::Embed(Weight table, float scale) {
  return impl_->Run([&] { return impl_->Embed(table, scale); });
}

MlxBackend::Act MlxBackend::AttnIn(Act x, const model::AttnInOp<Weight>& op) {
  return impl_->Run([&] { return impl_->AttnIn(x, op); });
}

MlxBackend::Act MlxBackend::Attend(Act q, const model::AttendOp& op) {
  return impl_->Run([&] { return impl_->Attend(q, op); });
}

MlxBackend::Act MlxBackend::OutAdd(Act input, const model::OutAddOp<Weight>& op, Act residual) {
  return impl_->Run([&] { return impl_->OutAdd(input, op, residual); });
}

MlxBackend::Act MlxBackend::MlpIn(Act x, const model::MlpInOp<Weight>& op) {
  return impl_->Run([&] { return impl_->MlpIn(x, op); });
}

MlxBackend::Act MlxBackend::Experts(Act x, const model::ExpertsOp<Weight>& op) {
  return impl_->Run([&] { return impl_->Experts(x, op); });
}

void MlxBackend::Head(Act x, const model::HeadOp<Weight>& op) { impl_->Head(x, op); }

Result<model::StepResult> MlxBackend::End() {
  return Guard([&] { return impl_->End(); });
}

}  // namespace millrace::backend_mlx
