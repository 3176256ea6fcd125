#include "model/families.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/nearest.h"
#include "weights/shown_text.h"

namespace millrace::model {

namespace {

bool HasNormBias(const ModelConfig& config) { return config.norm == NormKind::kLayer; }
bool HasPreNorms(const ModelConfig& config) { return config.norm_placement != NormPlacement::kPost; }
bool HasPostNorms(const ModelConfig& config) { return config.norm_placement != NormPlacement::kPre; }

bool IsRequired(Role role, const ModelConfig& config, const LayerConfig& layer) {
  switch (role) {
    case Role::kOutputNormBias:
      return HasNormBias(config);
    case Role::kAttnNorm:
    case Role::kMlpNorm:
      return HasPreNorms(config);
    case Role::kAttnNormBias:
    case Role::kMlpNormBias:
      return HasPreNorms(config) && HasNormBias(config);
    case Role::kAttnPostNorm:
    case Role::kMlpPostNorm:
      return HasPostNorms(config);
    case Role::kQueryNorm:
    case Role::kKeyNorm:
      return layer.qk_norm != QkNorm::kNone;
    case Role::kGate:
      return layer.mlp == MlpKind::kGated;
    case Role::kUp:
    case Role::kDown:
      return layer.mlp != MlpKind::kExperts;
    case Role::kRouter:
    case Role::kExpertGate:
    case Role::kExpertUp:
    case Role::kExpertDown:
      return layer.mlp == MlpKind::kExperts;
    case Role::kHead:
      return !config.tied_head;
    case Role::kQueryBias:
    case Role::kKeyBias:
    case Role::kValueBias:
    case Role::kAttnOutBias:
    case Role::kUpBias:
    case Role::kDownBias:
      return false;
    default:
      return true;
  }
}

bool Has(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::span<const Family> Families() {
  static const std::array<Family, 12> kFamilies = {LlamaFamily(), MistralFamily(),  SmolLm3Family(), Qwen2Family(),
                                                   Qwen3Family(), Qwen3MoeFamily(), Gemma2Family(),  Gemma3Family(),
                                                   Phi3Family(),  GraniteFamily(),  Olmo2Family(),   StarCoder2Family()};
  return kFamilies;
}

Result<const Family*> FindFamily(const Metadata& metadata) {
  const std::string_view name = metadata.architecture();
  std::vector<std::string_view> known;
  for (const Family& family : Families()) {
    const auto names = metadata.is_gguf() ? family.architectures : family.model_types;
    if (Has(names, name)) return &family;
    known.insert(known.end(), names.begin(), names.end());
  }
  const std::string_view nearest = Nearest(name, known);
  return Error(Code::kUnsupported, "{} '{}' is not supported{}; this build knows: {}",
               metadata.is_gguf() ? "architecture" : "model_type", weights::ShownText(name),
               nearest.empty() ? "" : fmt::format(", nearest is '{}'", nearest), fmt::join(known, ", "));
}

std::string NameOf(std::string_view pattern, uint32_t layer, uint32_t expert) {
  std::string name;
  const std::array<uint32_t, 2> numbers = {layer, expert};
  for (const uint32_t number : numbers) {
    const size_t at = pattern.find("{}");
    if (at == std::string_view::npos) break;
    name += fmt::format("{}{}", pattern.substr(0, at), number);
    pattern.remove_prefix(at + 2);
  }
  return name.append(pattern);
}

bool IsUsed(Role role, const ModelConfig& config, const LayerConfig& layer) {
  switch (role) {
    case Role::kUpBias:
      return layer.mlp == MlpKind::kPlain;
    case Role::kDownBias:
      return layer.mlp != MlpKind::kExperts;
    case Role::kQueryBias:
    case Role::kKeyBias:
    case Role::kValueBias:
    case Role::kAttnOutBias:
    case Role::kHead:
      return true;
    default:
      return IsRequired(role, config, layer);
  }
}

std::vector<Role> RequiredRoles(const ModelConfig& config, const LayerConfig& layer) {
  std::vector<Role> roles;
  for (size_t i = 0; i < kRoleCount; ++i) {
    const auto role = static_cast<Role>(i);
    if (IsRequired(role, config, layer)) roles.push_back(role);
  }
  return roles;
}

bool IsVector(Role role) {
  switch (role) {
    case Role::kOutputNorm:
    case Role::kOutputNormBias:
    case Role::kAttnNorm:
    case Role::kAttnNormBias:
    case Role::kQueryBias:
    case Role::kKeyBias:
    case Role::kValueBias:
    case Role::kQueryNorm:
    case Role::kKeyNorm:
    case Role::kAttnOutBias:
    case Role::kAttnPostNorm:
    case Role::kMlpNorm:
    case Role::kMlpNormBias:
    case Role::kUpBias:
    case Role::kDownBias:
    case Role::kMlpPostNorm:
      return true;
    default:
      return false;
  }
}

Shape ShapeOf(Role role, const ModelConfig& config, uint32_t layer) {
  const uint64_t hidden = config.hidden;
  if (role == Role::kEmbedding || role == Role::kHead) return {config.vocab, hidden, "vocabulary x hidden"};
  if (role == Role::kOutputNorm || role == Role::kOutputNormBias) return {1, hidden, "hidden"};
  CHECK(layer < config.layers.size(), "the layer of a tensor must exist");
  const LayerConfig& shape = config.layers[layer];
  const uint64_t q = uint64_t{shape.heads} * shape.head_dim;
  const uint64_t kv = uint64_t{shape.kv_heads} * shape.head_dim;
  const bool per_head = shape.qk_norm == QkNorm::kPerHead;
  const ExpertsConfig& experts = shape.experts;
  switch (role) {
    case Role::kQuery:
      return {q, hidden, "heads * head size x hidden"};
    case Role::kKey:
    case Role::kValue:
      return {kv, hidden, "KV heads * head size x hidden"};
    case Role::kQueryBias:
      return {1, q, "heads * head size"};
    case Role::kKeyBias:
    case Role::kValueBias:
      return {1, kv, "KV heads * head size"};
    case Role::kQueryNorm:
      return per_head ? Shape{1, shape.head_dim, "head size"} : Shape{1, q, "heads * head size"};
    case Role::kKeyNorm:
      return per_head ? Shape{1, shape.head_dim, "head size"} : Shape{1, kv, "KV heads * head size"};
    case Role::kAttnOut:
      return {hidden, q, "hidden x heads * head size"};
    case Role::kGate:
    case Role::kUp:
      return {shape.ffn, hidden, "feed-forward x hidden"};
    case Role::kUpBias:
      return {1, shape.ffn, "feed-forward"};
    case Role::kDown:
      return {hidden, shape.ffn, "hidden x feed-forward"};
    case Role::kRouter:
      return {experts.count, hidden, "experts x hidden"};
    case Role::kExpertGate:
    case Role::kExpertUp:
      return {uint64_t{experts.count} * experts.ffn, hidden, "experts * expert feed-forward x hidden"};
    case Role::kExpertDown:
      return {experts.count * hidden, experts.ffn, "experts * hidden x expert feed-forward"};
    default:
      return {1, hidden, "hidden"};
  }
}

}  // namespace millrace::model
