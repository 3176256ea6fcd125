#include "model/families.h"

#include <fmt/format.h>

#include <array>

#include "base/check.h"
#include "weights/shown_text.h"

namespace millrace::model {

std::span<const Family> Families() {
  static const std::array<Family, 1> kFamilies = {LlamaFamily()};
  return kFamilies;
}

Result<const Family*> FindFamily(std::string_view architecture) {
  std::string known;
  for (const Family& family : Families()) {
    if (family.architecture == architecture) return &family;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family.architecture);
  }
  return Error(Code::kUnsupported, "architecture '{}' is not supported; this build knows: {}", weights::ShownText(architecture),
               known);
}

std::string NameOf(const TensorName& name, uint32_t layer) {
  const size_t at = name.pattern.find("{}");
  if (at == std::string_view::npos) return std::string(name.pattern);
  return fmt::format("{}{}{}", name.pattern.substr(0, at), layer, name.pattern.substr(at + 2));
}

Shape ShapeOf(Role role, const ModelConfig& config, uint32_t layer) {
  const uint64_t hidden = config.hidden;
  switch (role) {
    case Role::kEmbedding:
    case Role::kHead:
      return {config.vocab, hidden, "vocabulary x hidden"};
    case Role::kOutputNorm:
    case Role::kAttnNorm:
    case Role::kMlpNorm:
      return {1, hidden, "hidden"};
    default:
      break;
  }
  CHECK(layer < config.layers.size(), "the layer of a tensor must exist");
  const LayerConfig& shape = config.layers[layer];
  const uint64_t q = uint64_t{shape.heads} * shape.head_dim;
  const uint64_t kv = uint64_t{shape.kv_heads} * shape.head_dim;
  switch (role) {
    case Role::kQuery:
      return {q, hidden, "heads * head size x hidden"};
    case Role::kKey:
    case Role::kValue:
      return {kv, hidden, "KV heads * head size x hidden"};
    case Role::kAttnOut:
      return {hidden, q, "hidden x heads * head size"};
    case Role::kGate:
    case Role::kUp:
      return {shape.ffn, hidden, "feed-forward x hidden"};
    case Role::kDown:
      return {hidden, shape.ffn, "hidden x feed-forward"};
    default:
      break;
  }
  CHECK(false, "every role has a shape");
}

}  // namespace millrace::model
