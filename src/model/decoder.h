// The decoder, written once for every backend and family.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/status.h"
#include "model/backend.h"
#include "model/config.h"
#include "model/decoder_weights.h"
#include "model/model_runner.h"

namespace millrace::model {

template <Backend B>
class Decoder final : public ModelRunner {
 public:
  template <WeightSource Source>
  static Result<std::unique_ptr<ModelRunner>> Load(const Source& file, std::unique_ptr<B> backend, const LoadProgress& progress) {
    ASSIGN_OR_RETURN(auto weights, LoadDecoderWeights(file, *backend, progress));
    return std::unique_ptr<ModelRunner>(new Decoder(file.config(), std::move(backend), std::move(weights)));
  }

  const ModelConfig& config() const override { return config_; }
  const RunnerInfo& info() const override { return backend_->info(); }

  Result<Ticket> Launch(const StepBatch& batch) override {
    RETURN_IF_ERROR(backend_->Begin(batch));
    auto x = backend_->Embed(weights_.embedding, config_.embedding_scale);
    for (uint32_t i = 0; i < weights_.layers.size(); ++i) x = Layer(i, x);
    backend_->Head(
        x,
        {.norm = weights_.output_norm, .weight = weights_.head, .scale = config_.logit_scale, .softcap = config_.logit_softcap});
    return Ticket{batch.step_id};
  }

  Result<StepResult> Collect(Ticket) override { return backend_->End(); }

 private:
  using Act = typename B::Act;

  Decoder(ModelConfig config, std::unique_ptr<B> backend, DecoderWeights<typename B::Weight> weights)
      : config_(std::move(config)), backend_(std::move(backend)), weights_(std::move(weights)) {}

  Act Layer(uint32_t index, Act x) {
    const LayerConfig& shape = config_.layers[index];
    const auto& w = weights_.layers[index];
    Act q = backend_->AttnIn(x, {.norm = w.attn_norm, .qkv = w.qkv, .bias = w.qkv_bias, .qk_norm = w.qk_norm, .layer = index});
    Act a = backend_->Attend(
        q, {.layer = index, .scale = shape.attention_scale, .window = shape.window, .softcap = shape.attention_softcap});
    x = backend_->OutAdd(a, {w.attn_out, w.attn_out_bias, w.attn_post_norm, config_.residual_scale}, x);
    if (shape.mlp == MlpKind::kExperts) return Experts(shape, w, x);
    Act h = backend_->MlpIn(x, {.norm = w.mlp_norm,
                                .gated = shape.mlp == MlpKind::kGated,
                                .gate_up = w.gate_up,
                                .bias = w.up_bias,
                                .activation = shape.activation});
    return backend_->OutAdd(h, {w.down, w.down_bias, w.mlp_post_norm, config_.residual_scale}, x);
  }

  Act Experts(const LayerConfig& shape, const LayerWeights<typename B::Weight>& w, Act x) {
    return backend_->Experts(x, {.norm = w.mlp_norm,
                                 .router = w.router,
                                 .gate_up = w.gate_up,
                                 .down = w.down,
                                 .experts = shape.experts,
                                 .activation = shape.activation,
                                 .post_norm = w.mlp_post_norm,
                                 .scale = config_.residual_scale});
  }

  ModelConfig config_;
  std::unique_ptr<B> backend_;
  DecoderWeights<typename B::Weight> weights_;
};

}  // namespace millrace::model
