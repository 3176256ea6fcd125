#include "cmd/model_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>
#include <vector>

namespace millrace::cmd {

namespace {

using model::LayerConfig;
using model::ModelConfig;

// What turns frequencies that fall by one factor into those of the file, pair by pair: 1 where they are the same.
std::vector<double> ScalesOf(const model::RopeConfig& rope, double base) {
  std::vector<double> scales;
  scales.reserve(rope.frequencies.size());
  const auto pairs = static_cast<double>(rope.frequencies.size());
  for (size_t i = 0; i < rope.frequencies.size(); ++i) {
    scales.push_back(std::pow(base, -static_cast<double>(i) / pairs) / rope.frequencies[i]);
  }
  return scales;
}

std::string Kinds(const ModelConfig& config) {
  std::string text = config.norm == model::NormKind::kRms ? "RMS norms" : "layer norms";
  text += config.norm_placement == model::NormPlacement::kPre    ? " before attention and MLP"
          : config.norm_placement == model::NormPlacement::kPost ? " after attention and MLP"
                                                                 : " before and after attention and MLP";
  const LayerConfig& layer = config.layers.front();
  if (layer.qk_norm == model::QkNorm::kPerHead) text += ", norms of each query and key head";
  if (layer.qk_norm == model::QkNorm::kFullWidth) text += ", norms of queries and keys";
  if (layer.attention_softcap != 0) text += fmt::format(", scores capped at {}", layer.attention_softcap);
  if (config.logit_softcap != 0) text += fmt::format(", logits capped at {}", config.logit_softcap);
  return text;
}

std::string MlpWords(const LayerConfig& layer) {
  const std::string_view activation = layer.activation == model::Activation::kSilu ? "SiLU" : "GELU";
  if (layer.mlp == model::MlpKind::kExperts) {
    return fmt::format("{} of {} experts for a token, {} wide each, {}", layer.experts.used, layer.experts.count,
                       layer.experts.ffn, activation);
  }
  return fmt::format("{} wide, {}{}", layer.ffn, layer.mlp == model::MlpKind::kGated ? "gated, " : "", activation);
}

// "512 tokens in 20 of 24 layers"; empty where every layer sees everything.
std::string WindowWords(const ModelConfig& config) {
  std::map<uint32_t, size_t> layers;
  for (const LayerConfig& layer : config.layers) ++layers[layer.window];
  layers.erase(0);
  std::string text;
  for (const auto& [window, count] : layers) {
    text += fmt::format("{}{} tokens in {} of {} layers", text.empty() ? "" : ", ", window, count, config.layers.size());
  }
  return text;
}

}  // namespace

std::string RopeWords(const model::RopeConfig& rope, uint32_t head_dim) {
  const size_t pairs = rope.frequencies.size();
  if (pairs == 0) return "none";
  // The highest frequencies are the last that any kind of scaling touches.
  const double base = pairs < 2 ? 1 : std::pow(rope.frequencies[0] / rope.frequencies[1], static_cast<double>(pairs));
  const auto scales = ScalesOf(rope, base);
  const double longest = *std::max_element(scales.begin(), scales.end());
  std::string text = fmt::format("base {:.6g} over {} of {} ({})", base, rope.dims(), head_dim,
                                 rope.style == model::RopeStyle::kHalves ? "halves" : "adjacent pairs");
  if (std::abs(longest - 1) > 1e-3) text += fmt::format(", scaled by up to {:.4g}", longest);
  if (rope.magnitude != 1) text += fmt::format(", magnitude {:.4g}", rope.magnitude);
  return text;
}

std::string ArchitectureWords(const ModelConfig& config) {
  const LayerConfig& layer = config.layers.front();
  std::string text = fmt::format("layers        {}, hidden {}, {} heads on {} KV heads of {}\n", config.layers.size(),
                                 config.hidden, layer.heads, layer.kv_heads, layer.head_dim);
  text += fmt::format("norms         {}\nMLP           {}\n", Kinds(config), MlpWords(layer));
  for (size_t i = 0; i < config.ropes.size(); ++i) {
    const auto uses = std::count_if(config.layers.begin(), config.layers.end(),
                                    [i](const LayerConfig& each) { return each.rope == static_cast<int32_t>(i); });
    text += fmt::format("rope          {}", RopeWords(config.ropes[i], layer.head_dim));
    text += static_cast<size_t>(uses) == config.layers.size() ? "\n"
                                                              : fmt::format(", in {} of {} layers\n", uses, config.layers.size());
  }
  if (const std::string window = WindowWords(config); !window.empty()) text += fmt::format("window        {}\n", window);
  return text;
}

}  // namespace millrace::cmd
