// The decoder, written once for every backend and family.
#pragma once

#include <array>
#include <cmath>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/status.h"
#include "model/backend.h"
#include "model/config.h"
#include "model/model_file.h"
#include "model/model_runner.h"

namespace millrace::model {

template <Backend B>
class Decoder final : public ModelRunner {
 public:
  // Called after each loaded tensor group: groups done, groups in all.
  using Progress = std::function<void(size_t done, size_t total)>;

  static Result<std::unique_ptr<ModelRunner>> Load(const ModelFile& file, std::unique_ptr<B> backend, const Progress& progress) {
    auto decoder = std::unique_ptr<Decoder>(new Decoder(file.config(), std::move(backend)));
    RETURN_IF_ERROR(decoder->LoadWeights(file, progress));
    return std::unique_ptr<ModelRunner>(std::move(decoder));
  }

  const ModelConfig& config() const override { return config_; }
  const RunnerInfo& info() const override { return backend_->info(); }

  Result<Ticket> Launch(const StepBatch& batch) override {
    RETURN_IF_ERROR(backend_->Begin(batch));
    auto x = backend_->Embed(embedding_);
    for (uint32_t i = 0; i < layers_.size(); ++i) x = Layer(i, x);
    backend_->Head(x, {.norm = {output_norm_, config_.norm_epsilon}, .weight = head_});
    return Ticket{batch.step_id};
  }

  Result<StepResult> Collect(Ticket) override { return backend_->End(); }

 private:
  using Weight = typename B::Weight;
  using Act = typename B::Act;

  struct LayerWeights {
    Weight attn_norm, qkv, attn_out, mlp_norm, gate_up, down;
  };

  Decoder(ModelConfig config, std::unique_ptr<B> backend) : config_(std::move(config)), backend_(std::move(backend)) {}

  Act Layer(uint32_t index, Act x) {
    const LayerConfig& shape = config_.layers[index];
    const LayerWeights& w = layers_[index];
    const float scale = 1.0F / std::sqrt(static_cast<float>(shape.head_dim));
    Act q = backend_->AttnIn(x, {.norm = {w.attn_norm, config_.norm_epsilon}, .qkv = w.qkv, .layer = index});
    Act a = backend_->Attend(q, {.layer = index, .scale = scale});
    x = backend_->OutAdd(a, {.weight = w.attn_out}, x);
    Act h =
        backend_->MlpIn(x, {.norm = {w.mlp_norm, config_.norm_epsilon}, .gate_up = w.gate_up, .activation = shape.activation});
    return backend_->OutAdd(h, {.weight = w.down}, x);
  }

  Status LoadWeights(const ModelFile& file, const Progress& progress) {
    const size_t total = config_.layers.size() + 2;
    layers_.resize(config_.layers.size());
    for (uint32_t i = 0; i < layers_.size(); ++i) {
      LayerWeights& w = layers_[i];
      const auto load = [&]<typename... Roles>(Weight& into, Roles... roles) -> Status {
        const std::array views{file.Tensor(roles, i)...};
        ASSIGN_OR_RETURN(into, backend_->Load(views));
        return {};
      };
      RETURN_IF_ERROR(load(w.attn_norm, Role::kAttnNorm));
      RETURN_IF_ERROR(load(w.qkv, Role::kQuery, Role::kKey, Role::kValue));
      RETURN_IF_ERROR(load(w.attn_out, Role::kAttnOut));
      RETURN_IF_ERROR(load(w.mlp_norm, Role::kMlpNorm));
      RETURN_IF_ERROR(load(w.gate_up, Role::kGate, Role::kUp));
      RETURN_IF_ERROR(load(w.down, Role::kDown));
      if (progress) progress(i + 1, total);
    }
    return LoadEnds(file, progress, total);
  }

  Status LoadEnds(const ModelFile& file, const Progress& progress, size_t total) {
    const std::array embedding{file.Tensor(Role::kEmbedding)};
    const std::array norm{file.Tensor(Role::kOutputNorm)};
    ASSIGN_OR_RETURN(embedding_, backend_->Load(embedding));
    if (progress) progress(total - 1, total);
    ASSIGN_OR_RETURN(output_norm_, backend_->Load(norm));
    if (config_.tied_head) {
      head_ = embedding_;
    } else {
      const std::array head{file.Tensor(Role::kHead)};
      ASSIGN_OR_RETURN(head_, backend_->Load(head));
    }
    if (progress) progress(total, total);
    return {};
  }

  ModelConfig config_;
  std::unique_ptr<B> backend_;
  Weight embedding_{}, output_norm_{}, head_{};
  std::vector<LayerWeights> layers_;
};

}  // namespace millrace::model
