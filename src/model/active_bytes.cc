#include "model/active_bytes.h"

#include <algorithm>
#include <cmath>

namespace millrace::model {
namespace {

bool IsNorm(Role role) {
  switch (role) {
    case Role::kAttnNorm:
    case Role::kAttnNormBias:
    case Role::kQueryNorm:
    case Role::kKeyNorm:
    case Role::kAttnPostNorm:
    case Role::kMlpNorm:
    case Role::kMlpNormBias:
    case Role::kMlpPostNorm:
      return true;
    default:
      return false;
  }
}

uint64_t LayerKvElements(const LayerConfig& layer) { return 2 * uint64_t{layer.kv_heads} * layer.head_dim; }

double ReadShare(const ExpertsConfig& experts, uint32_t batch) {
  const double unread = 1.0 - static_cast<double>(experts.used) / experts.count;
  double none = 1;
  for (uint32_t i = 0; i < batch; ++i) none *= unread;
  return 1.0 - none;
}

}  // namespace

WeightBytes WeightBytesOf(const ModelFile& file) {
  const ModelConfig& config = file.config();
  WeightBytes bytes;
  bytes.tied = config.tied_head;
  bytes.embedding = file.SourceBytes(Role::kEmbedding);
  bytes.head = file.SourceBytes(Role::kHead);
  bytes.norms = file.SourceBytes(Role::kOutputNorm) + file.SourceBytes(Role::kOutputNormBias);
  for (uint32_t layer = 0; layer < config.layers.size(); ++layer) {
    for (size_t i = static_cast<size_t>(Role::kAttnNorm); i < kRoleCount; ++i) {
      const auto role = static_cast<Role>(i);
      uint64_t& part = IsNorm(role) ? bytes.norms : role >= Role::kExpertGate ? bytes.experts : bytes.layers;
      part += file.SourceBytes(role, layer);
    }
  }
  return bytes;
}

uint64_t KvBytesPerToken(const ModelConfig& config, KvType type) {
  uint64_t elements = 0;
  for (const LayerConfig& layer : config.layers) elements += LayerKvElements(layer);
  return elements * KvBytes(type);
}

ActiveBytesParts ActiveBytes(const ModelConfig& config, const WeightBytes& weights, uint32_t position, uint32_t batch,
                             KvType type) {
  ActiveBytesParts parts;
  parts.head = weights.head;
  parts.layers = weights.layers;
  parts.norms = weights.norms;
  uint64_t elements = 0;
  double share = 0;  // of the experts, summed over layers that have some
  uint32_t expert_layers = 0;
  for (const LayerConfig& layer : config.layers) {
    const uint64_t stored = uint64_t{position} + 1;
    elements += LayerKvElements(layer) * (layer.window != 0 ? std::min<uint64_t>(stored, layer.window) : stored);
    if (layer.mlp != MlpKind::kExperts) continue;
    ++expert_layers;
    share += ReadShare(layer.experts, batch);
  }
  parts.kv = elements * KvBytes(type) * batch;
  if (expert_layers != 0) {
    parts.experts = static_cast<uint64_t>(std::llround(static_cast<double>(weights.experts) * share / expert_layers));
  }
  return parts;
}

}  // namespace millrace::model
