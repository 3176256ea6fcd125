#include "model/checkpoint_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "model/rope.h"

namespace millrace::model {

namespace {

constexpr double kTwoPi = 6.283185307179586;
constexpr double kTolerance = 1e-6;  // relative: files hold f32, config.json decimal numbers

constexpr std::pair<std::string_view, std::string_view> kClasses[] = {
    {"llama", "LlamaForCausalLM"},   {"mistral", "MistralForCausalLM"},    {"qwen2", "Qwen2ForCausalLM"},
    {"qwen3", "Qwen3ForCausalLM"},   {"qwen3_moe", "Qwen3MoeForCausalLM"}, {"gemma2", "Gemma2ForCausalLM"},
    {"gemma3", "Gemma3ForCausalLM"}, {"phi3", "Phi3ForCausalLM"},          {"granite", "GraniteForCausalLM"},
    {"olmo2", "Olmo2ForCausalLM"},   {"smollm3", "SmolLM3ForCausalLM"},    {"starcoder2", "Starcoder2ForCausalLM"},
};

bool Near(double a, double b) { return std::fabs(a - b) <= kTolerance * std::max(std::fabs(a), std::fabs(b)); }

// The decimal number that people wrote and the file holds as f32: 1e-05, not 9.999999747378752e-06.
double Decimal(double value) {
  const std::string text = fmt::format("{}", static_cast<float>(value));
  return std::strtod(text.c_str(), nullptr);
}

// What went in can often be told from what came out: a whole number where it is one.
double NearWhole(double value) { return Near(value, std::nearbyint(value)) ? std::nearbyint(value) : Decimal(value); }

std::vector<float> FloatsOf(const weights::TensorView* tensor) {
  std::vector<float> values;
  if (tensor == nullptr || tensor->dtype != DType::kF32) return values;
  values.resize(tensor->data.size() / sizeof(float));
  std::memcpy(values.data(), tensor->data.data(), values.size() * sizeof(float));
  return values;
}

class ConfigWriter {
 public:
  ConfigWriter(const ModelFile& file, const Family& family) : file_(file), config_(file.config()), family_(family) {}

  Result<Json> Write() {
    // GGUF files call Mistral a llama; checkpoints of llama have no windows.
    const auto windowed = [](const LayerConfig& layer) { return layer.window != 0; };
    const bool mistral = family_.name == "llama" && std::any_of(config_.layers.begin(), config_.layers.end(), windowed);
    const std::string_view name = mistral ? "mistral" : family_.name;
    const auto known = std::find_if(std::begin(kClasses), std::end(kClasses), [&](const auto& row) { return row.first == name; });
    if (known != std::end(kClasses)) Set("architectures", Json(Json::Array{Json(known->second)}));
    Set("model_type", Json(mistral ? name : family_.model_types.front()));
    WriteDimensions();
    RETURN_IF_ERROR(WriteRope());
    WriteLayers();
    WriteFactors();
    return std::move(out_);
  }

 private:
  void Set(std::string key, Json value) { out_.Set(std::move(key), std::move(value)); }
  void SetNumber(std::string key, uint64_t value) { Set(std::move(key), Json(value)); }
  // None is null: where the key is absent, readers take the family's default.
  void SetCap(std::string key, float cap) { Set(std::move(key), cap != 0 ? Json(Decimal(cap)) : Json()); }
  bool IsFamily(std::string_view prefix) const { return family_.name.starts_with(prefix); }
  const weights::GgufFile& gguf() const { return file_.gguf(); }
  const LayerConfig& first() const { return config_.layers.front(); }

  // "llama.rope.freq_base"
  std::string KeyOf(std::string_view name) const {
    const auto architecture = gguf().GetString("general.architecture");
    return fmt::format("{}.{}", architecture.ok() ? *architecture : "", name);
  }
  double NumberOr(std::string_view name, double fallback) const {
    if (const auto value = gguf().GetF32(KeyOf(name)); value.ok()) return Decimal(*value);
    if (const auto value = gguf().GetU64(KeyOf(name)); value.ok()) return static_cast<double>(*value);
    return fallback;
  }

  void WriteDimensions() {
    SetNumber("hidden_size", config_.hidden);
    SetNumber("intermediate_size", static_cast<uint64_t>(NumberOr("feed_forward_length", first().ffn)));
    SetNumber("num_hidden_layers", config_.layers.size());
    SetNumber("num_attention_heads", first().heads);
    SetNumber("num_key_value_heads", first().kv_heads);
    SetNumber("head_dim", first().head_dim);
    SetNumber("max_position_embeddings", config_.context_length);
    SetNumber("vocab_size", config_.vocab);
    Set(config_.norm == NormKind::kLayer ? "norm_epsilon" : "rms_norm_eps", Json(Decimal(config_.norm_epsilon)));
    Set("tie_word_embeddings", Json(config_.tied_head));
    const char* activation = first().activation == Activation::kSilu ? "silu" : "gelu_pytorch_tanh";
    Set("hidden_act", Json(activation));
    if (IsFamily("gemma")) Set("hidden_activation", Json(activation));
    if (IsFamily("starcoder2")) {
      Set("use_bias", Json(file_.Has(Role::kQueryBias)));
    } else if (!IsFamily("qwen2")) {
      Set("attention_bias", Json(file_.Has(Role::kQueryBias)));
    }
  }

  Status WriteRope() {
    if (config_.ropes.empty()) return {};
    const RopeConfig& rope = config_.ropes.front();
    Set("rope_theta", Json(NumberOr("rope.freq_base", Base(rope))));
    if (config_.ropes.size() > 1) Set("rope_local_base_freq", Json(NumberOr("rope.freq_base_swa", 10000)));
    if (rope.dims() != first().head_dim) {
      Set("partial_rotary_factor", Json(static_cast<double>(rope.dims()) / first().head_dim));
    }
    ASSIGN_OR_RETURN(Json scaling, Scaling(rope));
    Set("rope_scaling", std::move(scaling));
    return {};
  }

  // Of a rope that is not scaled, from its second frequency.
  static double Base(const RopeConfig& rope) {
    return rope.frequencies.size() < 2 ? 10000.0 : NearWhole(std::pow(rope.frequencies[1], -0.5 * rope.dims()));
  }

  Result<Json> Scaling(const RopeConfig& rope) {
    const auto type = gguf().GetString(KeyOf("rope.scaling.type"));
    const double factor = NumberOr("rope.scaling.factor", NumberOr("rope.scale_linear", 1));
    const double original = NumberOr("rope.scaling.original_context_length", config_.context_length);
    if (const auto divisors = FloatsOf(gguf().FindTensor("rope_freqs.weight")); !divisors.empty()) {
      return Llama3(divisors, RopeFrequencies(rope.dims(), NumberOr("rope.freq_base", 10000)));
    }
    if (gguf().FindTensor("rope_factors_long.weight") != nullptr) {
      SetNumber("original_max_position_embeddings", static_cast<uint64_t>(original));
      return Json(Json::Object{{"type", Json("longrope")},
                               {"short_factor", Numbers(FloatsOf(gguf().FindTensor("rope_factors_short.weight")))},
                               {"long_factor", Numbers(FloatsOf(gguf().FindTensor("rope_factors_long.weight")))},
                               {"attention_factor", Json(Decimal(rope.magnitude))}});
    }
    if (type.ok() && *type == "yarn") {
      return Json(Json::Object{{"rope_type", Json("yarn")},
                               {"factor", Json(factor)},
                               {"original_max_position_embeddings", Json(static_cast<uint64_t>(original))},
                               {"beta_fast", Json(NumberOr("rope.scaling.yarn_beta_fast", 32))},
                               {"beta_slow", Json(NumberOr("rope.scaling.yarn_beta_slow", 1))},
                               {"attention_factor", Json(Decimal(rope.magnitude))}});
    }
    if (factor == 1) return Json();
    return Json(Json::Object{{"rope_type", Json("linear")}, {"factor", Json(factor)}});
  }

  // The file holds what came out of the rule: each frequency divided by a number between 1 and the factor. Where it is neither, the share s
  // of the frequency that is kept as it was is a line over the frequency, s = (turns - low) / (high - low) with turns = original *
  // frequency / 2 pi, which two points tell but for one of the three numbers; low is 1 in all known models.
  static Json Llama3(const std::vector<float>& divisors, const std::vector<double>& frequencies) {
    const double factor = *std::max_element(divisors.begin(), divisors.end());
    double high = 4, original = 8192;
    std::vector<std::pair<double, double>> line;  // frequency, share
    for (size_t i = 0; i < std::min(divisors.size(), frequencies.size()); ++i) {
      const double share = (1 / double{divisors[i]} - 1 / factor) / (1 - 1 / factor);
      if (share > 0.01 && share < 0.99) line.emplace_back(frequencies[i], share);
    }
    if (line.size() == 1) original = (1 + line[0].second * (high - 1)) * kTwoPi / line[0].first;
    if (line.size() > 1) {
      const auto [x0, y0] = line.front();
      const auto [x1, y1] = line.back();
      const double slope = (y1 - y0) / (x1 - x0);
      high = Snapped(1 - 1 / (y0 - slope * x0));
      original = slope * kTwoPi * (high - 1);
    }
    return Json(Json::Object{{"rope_type", Json("llama3")},
                             {"factor", Json(Decimal(factor))},
                             {"low_freq_factor", Json(1.0)},
                             {"high_freq_factor", Json(high)},
                             {"original_max_position_embeddings", Json(Snapped(original))}});
  }

  // What was computed from f32 numbers is near the whole number that it was.
  static double Snapped(double value) {
    const double whole = std::nearbyint(value);
    return std::fabs(value - whole) <= 1e-3 * std::fabs(value) ? whole : value;
  }

  static Json Numbers(const std::vector<float>& values) {
    Json::Array out;
    for (const float value : values) out.emplace_back(Decimal(value));
    return Json(std::move(out));
  }

  // What differs between layers.
  void WriteLayers() {
    uint32_t window = 0;
    for (const LayerConfig& layer : config_.layers) window = std::max(window, layer.window);
    const auto sees_less = [window](const LayerConfig& layer) { return layer.window == window; };
    if (IsFamily("qwen") || IsFamily("smollm3")) Set("use_sliding_window", Json(window != 0));
    if (window != 0) {
      SetNumber("sliding_window", window);
      if (!std::all_of(config_.layers.begin(), config_.layers.end(), sees_less)) {
        Json::Array types;
        for (const LayerConfig& layer : config_.layers)
          types.emplace_back(sees_less(layer) ? "sliding_attention" : "full_attention");
        Set("layer_types", Json(std::move(types)));
      }
    }
    if (IsFamily("smollm3")) {
      Json::Array rotates;
      for (const LayerConfig& layer : config_.layers) rotates.emplace_back(layer.rope < 0 ? 0 : 1);
      Set("no_rope_layers", Json(std::move(rotates)));
    }
    WriteExperts();
  }

  void WriteExperts() {
    const auto has = [](const LayerConfig& layer) { return layer.mlp == MlpKind::kExperts; };
    const auto found = std::find_if(config_.layers.begin(), config_.layers.end(), has);
    if (found == config_.layers.end()) return;
    SetNumber("num_experts", found->experts.count);
    SetNumber("num_experts_per_tok", found->experts.used);
    SetNumber("moe_intermediate_size", found->experts.ffn);
    Set("norm_topk_prob", Json(found->experts.renormalise));
    SetNumber("decoder_sparse_step", 1);
    Json::Array plain;
    for (size_t i = 0; i < config_.layers.size(); ++i) {
      if (!has(config_.layers[i])) plain.emplace_back(uint64_t{i});
    }
    Set("mlp_only_layers", Json(std::move(plain)));
  }

  void WriteFactors() {
    if (IsFamily("granite")) {
      Set("embedding_multiplier", Json(Decimal(config_.embedding_scale)));
      Set("residual_multiplier", Json(Decimal(config_.residual_scale)));
      Set("attention_multiplier", Json(Decimal(first().attention_scale)));
      Set("logits_scaling", Json(NearWhole(1.0 / config_.logit_scale)));
    }
    if (!IsFamily("gemma")) return;
    Set("query_pre_attn_scalar", Json(NearWhole(1.0 / (double{first().attention_scale} * first().attention_scale))));
    SetCap("attn_logit_softcapping", first().attention_softcap);
    SetCap("final_logit_softcapping", config_.logit_softcap);
  }

  const ModelFile& file_;
  const ModelConfig& config_;
  const Family& family_;
  Json out_{Json::Object{}};
};

bool SameRope(const RopeConfig& a, const RopeConfig& b) {
  if (a.frequencies.size() != b.frequencies.size() || !Near(a.magnitude, b.magnitude)) return false;
  return std::equal(a.frequencies.begin(), a.frequencies.end(), b.frequencies.begin(), Near);
}

// The member in which two layers differ; empty where they do not.
std::string_view Difference(const LayerConfig& a, const LayerConfig& b) {
  if (a.heads != b.heads || a.kv_heads != b.kv_heads || a.head_dim != b.head_dim) return "heads";
  if (a.rope != b.rope) return "rope";
  if (a.window != b.window) return "window";
  if (!Near(a.attention_scale, b.attention_scale)) return "scale of attention";
  if (!Near(a.attention_softcap, b.attention_softcap)) return "softcap of attention";
  if (a.qk_norm != b.qk_norm) return "norms of queries and keys";
  if (a.mlp != b.mlp || a.ffn != b.ffn || a.activation != b.activation) return "MLP";
  const ExpertsConfig &x = a.experts, &y = b.experts;
  if (x.count != y.count || x.used != y.used || x.ffn != y.ffn || x.renormalise != y.renormalise) return "experts";
  return {};
}

Status CheckSame(const ModelConfig& source, const ModelConfig& written) {
  const auto differs = [](std::string_view what) {
    return Error(Code::kUnsupported, "the file's {} cannot be told in config.json by this build", what);
  };
  if (source.hidden != written.hidden || source.layers.size() != written.layers.size()) return differs("dimensions");
  if (source.context_length != written.context_length) return differs("context length");
  if (source.norm != written.norm || source.norm_placement != written.norm_placement) return differs("norms");
  if (!Near(source.norm_epsilon, written.norm_epsilon)) return differs("epsilon of norms");
  if (!Near(source.embedding_scale, written.embedding_scale) || !Near(source.residual_scale, written.residual_scale) ||
      !Near(source.logit_scale, written.logit_scale) || !Near(source.logit_softcap, written.logit_softcap)) {
    return differs("factors");
  }
  if (!std::equal(source.ropes.begin(), source.ropes.end(), written.ropes.begin(), written.ropes.end(), SameRope))
    return differs("rope");
  for (size_t i = 0; i < source.layers.size(); ++i) {
    const std::string_view difference = Difference(source.layers[i], written.layers[i]);
    if (!difference.empty()) return differs(fmt::format("{} in layer {}", difference, i));
  }
  return {};
}

Result<Json> FromGguf(const ModelFile& file) {
  ASSIGN_OR_RETURN(const Metadata metadata, file.source().ReadMetadata());
  ASSIGN_OR_RETURN(const Family* family, FindFamily(metadata));
  if (family->model_types.empty()) return Error(Code::kUnsupported, "family {} has no form as a checkpoint", family->name);
  ASSIGN_OR_RETURN(Json config, ConfigWriter(file, *family).Write());
  ASSIGN_OR_RETURN(const Metadata written, Metadata::Of(config));
  ASSIGN_OR_RETURN(family, FindFamily(written));
  ASSIGN_OR_RETURN(const ModelConfig read, family->read_config(written));
  RETURN_IF_ERROR(CheckSame(file.config(), read));
  return config;
}

}  // namespace

Result<Json> CheckpointConfigOf(const ModelFile& file) {
  Json config(Json::Object{});
  if (file.source().is_gguf()) {
    ASSIGN_OR_RETURN(config, FromGguf(file));
  } else {
    for (const auto& [key, value] : file.source().checkpoint().config().members()) {
      if (key != "quantization" && key != "quantization_config") config.members().emplace_back(key, value);
    }
  }
  config.Set("torch_dtype", Json("float16"));
  return config;
}

void AddQuantisation(const AffineFormat& format, Json& config) {
  const Json entry(Json::Object{{"group_size", Json(uint64_t{format.group})}, {"bits", Json(uint64_t{format.bits})}});
  config.Set("quantization", entry);
  config.Set("quantization_config", entry);
}

}  // namespace millrace::model
