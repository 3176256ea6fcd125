// The decoder's weights as a backend's handles, and how they are loaded from a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "model/backend.h"
#include "model/config.h"
#include "model/weight_source.h"
#include "weights/tensor_view.h"

namespace millrace::model {

// Called after each loaded group of tensors: groups done, groups in all.
using LoadProgress = std::function<void(size_t done, size_t total)>;

template <typename Weight>
struct LayerWeights {
  std::optional<NormOp<Weight>> attn_norm;
  Weight qkv{};
  std::optional<Weight> qkv_bias;
  std::optional<QkNormOp<Weight>> qk_norm;
  Weight attn_out{};
  std::optional<Weight> attn_out_bias;
  std::optional<NormOp<Weight>> attn_post_norm;
  std::optional<NormOp<Weight>> mlp_norm;
  Weight router{};   // of experts
  Weight gate_up{};  // of experts: of all of them
  std::optional<Weight> up_bias;
  Weight down{};
  std::optional<Weight> down_bias;
  std::optional<NormOp<Weight>> mlp_post_norm;
};

template <typename Weight>
struct DecoderWeights {
  Weight embedding{};
  NormOp<Weight> output_norm{};
  Weight head{};
  std::vector<LayerWeights<Weight>> layers;
};

// Loads one layer after the other. Not for more than one use.
template <Backend B, WeightSource Source>
class DecoderWeightLoader {
 public:
  using Weight = typename B::Weight;

  DecoderWeightLoader(const Source& file, B& backend) : file_(file), config_(file.config()), backend_(backend) {}

  Result<DecoderWeights<Weight>> Load(const LoadProgress& progress) {
    DecoderWeights<Weight> weights;
    const size_t total = config_.layers.size() + 1;
    for (uint32_t layer = 0; layer < config_.layers.size(); ++layer) {
      ASSIGN_OR_RETURN(auto loaded, LoadLayer(layer));
      weights.layers.push_back(std::move(loaded));
      if (progress) progress(layer + 1, total);
    }
    RETURN_IF_ERROR(Matrix({Role::kEmbedding}, 0, weights.embedding));
    ASSIGN_OR_RETURN(const auto norm, Norm(Role::kOutputNorm, Role::kOutputNormBias, 0));
    weights.output_norm = *norm;
    weights.head = weights.embedding;
    if (!config_.tied_head) RETURN_IF_ERROR(Matrix({Role::kHead}, 0, weights.head));
    if (progress) progress(total, total);
    return weights;
  }

 private:
  Result<LayerWeights<Weight>> LoadLayer(uint32_t layer) {
    LayerWeights<Weight> w;
    ASSIGN_OR_RETURN(w.attn_norm, Norm(Role::kAttnNorm, Role::kAttnNormBias, layer));
    RETURN_IF_ERROR(Matrix({Role::kQuery, Role::kKey, Role::kValue}, layer, w.qkv));
    ASSIGN_OR_RETURN(w.qkv_bias, Vector({Role::kQueryBias, Role::kKeyBias, Role::kValueBias}, layer));
    RETURN_IF_ERROR(LoadQkNorm(layer, w));
    RETURN_IF_ERROR(Matrix({Role::kAttnOut}, layer, w.attn_out));
    ASSIGN_OR_RETURN(w.attn_out_bias, Vector({Role::kAttnOutBias}, layer));
    ASSIGN_OR_RETURN(w.attn_post_norm, RmsNorm(Role::kAttnPostNorm, layer));
    ASSIGN_OR_RETURN(w.mlp_norm, Norm(Role::kMlpNorm, Role::kMlpNormBias, layer));
    ASSIGN_OR_RETURN(w.mlp_post_norm, RmsNorm(Role::kMlpPostNorm, layer));
    RETURN_IF_ERROR(LoadMlp(layer, w));
    return w;
  }

  Status LoadQkNorm(uint32_t layer, LayerWeights<Weight>& w) {
    ASSIGN_OR_RETURN(const auto query, Vector({Role::kQueryNorm}, layer));
    ASSIGN_OR_RETURN(const auto key, Vector({Role::kKeyNorm}, layer));
    if (query && key) w.qk_norm = {config_.layers[layer].qk_norm, *query, *key, config_.norm_epsilon};
    return {};
  }

  Status LoadMlp(uint32_t layer, LayerWeights<Weight>& w) {
    switch (config_.layers[layer].mlp) {
      case MlpKind::kExperts:
        return LoadExperts(layer, w);
      case MlpKind::kGated:
        RETURN_IF_ERROR(Matrix({Role::kGate, Role::kUp}, layer, w.gate_up));
        break;
      case MlpKind::kPlain:
        RETURN_IF_ERROR(Matrix({Role::kUp}, layer, w.gate_up));
        break;
    }
    ASSIGN_OR_RETURN(w.up_bias, Vector({Role::kUpBias}, layer));
    RETURN_IF_ERROR(Matrix({Role::kDown}, layer, w.down));
    ASSIGN_OR_RETURN(w.down_bias, Vector({Role::kDownBias}, layer));
    return {};
  }

  Status LoadExperts(uint32_t layer, LayerWeights<Weight>& w) {
    RETURN_IF_ERROR(Matrix({Role::kRouter}, layer, w.router));
    std::vector<weights::TensorView> gate_up;
    std::vector<weights::TensorView> down;
    for (uint32_t expert = 0; expert < config_.layers[layer].experts.count; ++expert) {
      gate_up.push_back(file_.Expert(Role::kExpertGate, layer, expert));
      gate_up.push_back(file_.Expert(Role::kExpertUp, layer, expert));
      down.push_back(file_.Expert(Role::kExpertDown, layer, expert));
    }
    ASSIGN_OR_RETURN(w.gate_up, backend_.Load(gate_up));
    ASSIGN_OR_RETURN(w.down, backend_.Load(down));
    return {};
  }

  Status Matrix(std::initializer_list<Role> roles, uint32_t layer, Weight& into) {
    std::vector<weights::TensorView> views;
    for (const Role role : roles) views.push_back(file_.Tensor(role, layer));
    ASSIGN_OR_RETURN(into, backend_.Load(views));
    return {};
  }

  // Nothing where the file has no such tensor; ModelFile has checked that several roles are there together or not at all.
  Result<std::optional<Weight>> Vector(std::initializer_list<Role> roles, uint32_t layer) {
    std::vector<weights::TensorView> views;
    for (const Role role : roles) {
      if (!file_.Has(role, layer)) return std::optional<Weight>();
      views.push_back(file_.Tensor(role, layer));
    }
    ASSIGN_OR_RETURN(const Weight weight, backend_.LoadVector(views));
    return std::optional<Weight>(weight);
  }

  Result<std::optional<NormOp<Weight>>> Norm(Role weight_role, Role bias_role, uint32_t layer) {
    ASSIGN_OR_RETURN(const auto weight, Vector({weight_role}, layer));
    ASSIGN_OR_RETURN(const auto bias, Vector({bias_role}, layer));
    if (!weight) return std::optional<NormOp<Weight>>();
    return std::optional<NormOp<Weight>>({*weight, bias, config_.norm, config_.norm_epsilon});
  }

  Result<std::optional<NormOp<Weight>>> RmsNorm(Role role, uint32_t layer) {
    ASSIGN_OR_RETURN(const auto weight, Vector({role}, layer));
    if (!weight) return std::optional<NormOp<Weight>>();
    return std::optional<NormOp<Weight>>({*weight, std::nullopt, NormKind::kRms, config_.norm_epsilon});
  }

  const Source& file_;
  const ModelConfig& config_;
  B& backend_;
};

template <Backend B, WeightSource Source>
Result<DecoderWeights<typename B::Weight>> LoadDecoderWeights(const Source& file, B& backend, const LoadProgress& progress) {
  return DecoderWeightLoader<B, Source>(file, backend).Load(progress);
}

}  // namespace millrace::model
