// Small configurations that have, between them, everything that a ModelConfig can say.
#pragma once

#include <cmath>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "model/config.h"
#include "model/testing/random_weights.h"

namespace millrace::model::testing {

struct FeatureModel {
  std::string name;
  ModelConfig config;
  RandomWeightsOptions weights;
  size_t tokens = 40;  // enough to leave the windows
};
inline void PrintTo(const FeatureModel& model, std::ostream* out) { *out << model.name; }

inline RopeConfig SmallRope(uint32_t dims, double base, RopeStyle style = RopeStyle::kHalves) {
  RopeConfig rope{.style = style, .frequencies = {}};
  for (uint32_t i = 0; i < dims / 2; ++i) rope.frequencies.push_back(std::pow(base, -2.0 * i / dims));
  return rope;
}

// Two layers that need nothing out of the ordinary.
inline ModelConfig SmallConfig() {
  ModelConfig config;
  config.family = "synthetic";
  config.hidden = 64;
  config.vocab = 48;
  config.context_length = 1024;
  config.norm_epsilon = 1e-5F;
  config.ropes = {SmallRope(16, 10000)};
  LayerConfig layer{.heads = 4, .kv_heads = 2, .head_dim = 16};
  layer.attention_scale = 0.25F;
  layer.ffn = 96;
  config.layers.assign(2, layer);
  return config;
}

inline std::vector<FeatureModel> RopeModels() {
  std::vector<FeatureModel> models;
  const auto add = [&](std::string name, auto change) {
    FeatureModel model{.name = std::move(name), .config = SmallConfig(), .weights = {}};
    change(model);
    models.push_back(std::move(model));
  };
  add("halves", [](FeatureModel&) {});
  add("adjacent", [](FeatureModel& m) { m.config.ropes[0].style = RopeStyle::kAdjacentPairs; });
  add("untied", [](FeatureModel& m) { m.config.tied_head = false; });
  add("part_of_the_head", [](FeatureModel& m) { m.config.ropes = {SmallRope(8, 10000)}; });
  add("part_of_the_head_adjacent", [](FeatureModel& m) { m.config.ropes = {SmallRope(6, 10000, RopeStyle::kAdjacentPairs)}; });
  add("magnitude", [](FeatureModel& m) { m.config.ropes[0].magnitude = 1.19F; });
  add("a_layer_without_rope", [](FeatureModel& m) { m.config.layers[1].rope = -1; });
  add("a_rope_for_each_layer", [](FeatureModel& m) {
    m.config.ropes.push_back(SmallRope(16, 1e6, RopeStyle::kAdjacentPairs));
    m.config.layers[1].rope = 1;
  });
  return models;
}

inline std::vector<FeatureModel> AttentionModels() {
  std::vector<FeatureModel> models;
  const auto add = [&](std::string name, auto change) {
    FeatureModel model{.name = std::move(name), .config = SmallConfig(), .weights = {}};
    change(model);
    models.push_back(std::move(model));
  };
  const auto each = [](FeatureModel& m, auto change) {
    for (LayerConfig& layer : m.config.layers) change(layer);
  };
  add("qkv_bias", [](FeatureModel& m) { m.weights.biases = true; });
  add("qkv_bias_adjacent", [](FeatureModel& m) {
    m.weights.biases = true;
    m.config.ropes[0].style = RopeStyle::kAdjacentPairs;
  });
  add("norms_of_heads", [&](FeatureModel& m) { each(m, [](LayerConfig& l) { l.qk_norm = QkNorm::kPerHead; }); });
  add("norms_of_heads_bias_and_no_rope", [&](FeatureModel& m) {
    m.weights.biases = true;
    each(m, [](LayerConfig& l) { l.qk_norm = QkNorm::kPerHead, l.rope = -1; });
  });
  add("norms_of_the_full_width", [&](FeatureModel& m) {
    m.weights.biases = true;
    each(m, [](LayerConfig& l) { l.qk_norm = QkNorm::kFullWidth; });
  });
  add("window", [&](FeatureModel& m) { each(m, [](LayerConfig& l) { l.window = 7; }); });
  add("window_of_one", [&](FeatureModel& m) { m.config.layers[0].window = 1; });
  add("window_over_tiles", [&](FeatureModel& m) {
    m.tokens = 560;
    m.config.layers[0].window = 40;
    m.config.layers[1].window = 300;
  });
  add("softcap", [&](FeatureModel& m) { each(m, [](LayerConfig& l) { l.attention_softcap = 0.8F, l.attention_scale = 1; }); });
  add("one_kv_head", [&](FeatureModel& m) { each(m, [](LayerConfig& l) { l.kv_heads = 1, l.window = 20; }); });
  add("many_small_heads", [&](FeatureModel& m) {
    m.config.ropes = {SmallRope(8, 10000)};
    each(m, [](LayerConfig& l) { l.heads = 12, l.kv_heads = 4, l.head_dim = 8; });
  });
  return models;
}

inline std::vector<FeatureModel> MlpModels() {
  std::vector<FeatureModel> models;
  const auto add = [&](std::string name, auto change) {
    FeatureModel model{.name = std::move(name), .config = SmallConfig(), .weights = {}};
    change(model);
    models.push_back(std::move(model));
  };
  const auto experts = [](uint32_t count, uint32_t used, bool renormalise) {
    return ExpertsConfig{.count = count, .used = used, .ffn = 32, .renormalise = renormalise};
  };
  const auto use = [](LayerConfig& layer, ExpertsConfig config) {
    layer.mlp = MlpKind::kExperts;
    layer.ffn = 0;
    layer.experts = config;
  };
  add("gelu", [](FeatureModel& m) { m.config.layers[0].activation = Activation::kGeluTanh; });
  add("no_gate", [](FeatureModel& m) { m.config.layers[0].mlp = MlpKind::kPlain; });
  add("no_gate_gelu_and_biases", [](FeatureModel& m) {
    m.weights.biases = true;
    for (LayerConfig& layer : m.config.layers) layer.mlp = MlpKind::kPlain, layer.activation = Activation::kGeluTanh;
  });
  add("all_of_some_experts", [&](FeatureModel& m) { use(m.config.layers[1], experts(4, 4, false)); });
  add("few_experts", [&](FeatureModel& m) {
    for (LayerConfig& layer : m.config.layers) use(layer, experts(8, 2, false));
  });
  add("few_experts_renormalised", [&](FeatureModel& m) {
    for (LayerConfig& layer : m.config.layers) use(layer, experts(8, 3, true));
    m.config.layers[0].activation = Activation::kGeluTanh;
  });
  add("experts_with_post_norms", [&](FeatureModel& m) {
    use(m.config.layers[0], experts(6, 1, true));
    m.config.norm_placement = NormPlacement::kPost;
    m.config.residual_scale = 0.5F;
  });
  return models;
}

inline std::vector<FeatureModel> NormModels() {
  std::vector<FeatureModel> models;
  const auto add = [&](std::string name, auto change) {
    FeatureModel model{.name = std::move(name), .config = SmallConfig(), .weights = {}};
    change(model);
    models.push_back(std::move(model));
  };
  add("layer_norm", [](FeatureModel& m) { m.config.norm = NormKind::kLayer; });
  add("post_norms", [](FeatureModel& m) { m.config.norm_placement = NormPlacement::kPost; });
  add("norms_before_and_after", [](FeatureModel& m) { m.config.norm_placement = NormPlacement::kBoth; });
  add("scales", [](FeatureModel& m) {
    m.config.embedding_scale = 12;
    m.config.residual_scale = 0.22F;
    m.config.logit_scale = 0.125F;
  });
  add("logit_softcap", [](FeatureModel& m) { m.config.logit_softcap = 0.9F, m.config.logit_scale = 2; });
  add("biases_scale_and_post_norms", [](FeatureModel& m) {
    m.config.norm_placement = NormPlacement::kBoth;
    m.config.residual_scale = 0.3F;
    m.weights.biases = true;
  });
  add("vectors_in_bf16_with_offset", [](FeatureModel& m) { m.weights.vectors = DType::kBF16, m.weights.norm_offset = 1; });
  add("vectors_in_f16", [](FeatureModel& m) { m.weights.vectors = DType::kF16, m.weights.biases = true; });
  add("all_of_a_local_and_global_family", [](FeatureModel& m) {
    m.tokens = 300;
    m.config.norm_placement = NormPlacement::kBoth;
    m.config.embedding_scale = 8;
    m.config.logit_softcap = 3;
    m.config.ropes.push_back(SmallRope(16, 1e6));
    m.weights.norm_offset = 1;
    for (LayerConfig& layer : m.config.layers) {
      layer.activation = Activation::kGeluTanh;
      layer.attention_softcap = 5;
      layer.qk_norm = QkNorm::kPerHead;
    }
    m.config.layers[0].window = 33;
    m.config.layers[1].rope = 1;
  });
  return models;
}

inline std::vector<FeatureModel> FeatureModels() {
  std::vector<FeatureModel> models;
  for (auto part : {RopeModels(), AttentionModels(), MlpModels(), NormModels()}) {
    for (FeatureModel& model : part) models.push_back(std::move(model));
  }
  for (FeatureModel& model : models) model.config.tied_head = model.name != "untied";
  return models;
}

}  // namespace millrace::model::testing
