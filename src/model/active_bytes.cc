#include "model/active_bytes.h"

namespace millrace::model {

WeightBytes WeightBytesOf(const ModelFile& file) {
  const auto size = [&](Role role, uint32_t layer) { return uint64_t{file.Tensor(role, layer).data.size()}; };
  WeightBytes bytes;
  bytes.tied = file.config().tied_head;
  bytes.embedding = size(Role::kEmbedding, 0);
  bytes.head = size(Role::kHead, 0);
  bytes.norms = size(Role::kOutputNorm, 0);
  for (uint32_t layer = 0; layer < file.config().layers.size(); ++layer) {
    bytes.norms += size(Role::kAttnNorm, layer) + size(Role::kMlpNorm, layer);
    for (const Role role : {Role::kQuery, Role::kKey, Role::kValue, Role::kAttnOut, Role::kGate, Role::kUp, Role::kDown}) {
      bytes.layers += size(role, layer);
    }
  }
  return bytes;
}

uint64_t KvBytesPerToken(const ModelConfig& config, KvType type) {
  uint64_t elements = 0;
  for (const LayerConfig& layer : config.layers) elements += 2 * uint64_t{layer.kv_heads} * layer.head_dim;
  return elements * KvBytes(type);
}

ActiveBytesParts ActiveBytes(const ModelConfig& config, const WeightBytes& weights, uint32_t position, uint32_t batch,
                             KvType type) {
  ActiveBytesParts parts;
  parts.head = weights.head;
  parts.layers = weights.layers;
  parts.norms = weights.norms;
  parts.kv = KvBytesPerToken(config, type) * (uint64_t{position} + 1) * batch;
  return parts;
}

}  // namespace millrace::model
