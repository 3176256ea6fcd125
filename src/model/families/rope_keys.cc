#include "model/families/rope_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "model/rope.h"
#include "weights/shown_text.h"

namespace millrace::model {

namespace {

constexpr uint32_t kMaxHeadDim = 1024;
constexpr double kMaxFrequency = 64;
constexpr double kMaxContext = 1U << 24;
constexpr double kMaxBase = 1e12;
constexpr double kMaxFactor = 1e6;

constexpr Key kDims{"rope.dimension_count", ""};
constexpr Key kShare{"", "partial_rotary_factor"};
constexpr Key kOriginalContext{"", "original_max_position_embeddings"};

// What may stand in rope_parameters, one of its sections, or rope_scaling.
constexpr std::array<std::string_view, 17> kKnown = {
    "rope_type",    "type",        "rope_theta", "partial_rotary_factor", "factor",           "original_max_position_embeddings",
    "beta_fast",    "beta_slow",   "mscale",     "mscale_all_dim",        "truncate",         "attention_factor",
    "short_factor", "long_factor", "finetuned",  "low_freq_factor",       "high_freq_factor",
};
constexpr std::array<std::string_view, 2> kSections = {"full_attention", "sliding_attention"};

class RopeReader {
 public:
  RopeReader(const Metadata& metadata, const RopeSource& source, uint32_t head_dim, uint32_t context_length)
      : metadata_(metadata), source_(source), head_dim_(head_dim), context_length_(context_length) {
    if (metadata.is_gguf()) return;
    objects_.push_back(source.section.empty() ? "rope_parameters" : fmt::format("rope_parameters.{}", source.section));
    if (source.scaled) objects_.emplace_back("rope_scaling");
  }

  Result<RopeConfig> Read() {
    RETURN_IF_ERROR(CheckMembers());
    RopeConfig rope;
    rope.style = metadata_.is_gguf() ? source_.gguf_style : RopeStyle::kHalves;
    ASSIGN_OR_RETURN(const uint32_t dims, Dims());
    ASSIGN_OR_RETURN(base_, Base());
    rope.frequencies = RopeFrequencies(dims, base_);
    if (metadata_.is_gguf() && !source_.scaled) return rope;
    ASSIGN_OR_RETURN(const std::string type, Type());
    RETURN_IF_ERROR(Scale(type, rope));
    // Angles stay where sines are exact: positions end at 2^24, and base/math.h's functions at 2^30.
    for (const double frequency : rope.frequencies) {
      if (frequency <= kMaxFrequency) continue;  // false for NaN
      return Error(Code::kInvalidArgument, "rope: a frequency of {} radians a position after scaling, expected at most {}",
                   frequency, kMaxFrequency);
    }
    return rope;
  }

 private:
  // Where config.json holds a parameter; empty where it does not.
  std::string PathOf(std::string_view name) const {
    if (name.empty()) return {};
    for (const std::string& object : objects_) {
      std::string path = fmt::format("{}.{}", object, name);
      if (metadata_.Has({"", path})) return path;
    }
    return {};
  }

  Result<double> NumberOr(std::string_view gguf, std::string_view name, double fallback, double limit) const {
    const std::string path = PathOf(name);
    const Key key{gguf, path};
    if (!metadata_.Has(key)) return fallback;
    return Checked(key, limit);
  }

  Result<double> Checked(const Key& key, double limit) const {
    ASSIGN_OR_RETURN(const double number, metadata_.Number(key));
    if (!(number > 0 && number <= limit)) {
      return Error(Code::kInvalidArgument, "{}: {}, expected above 0 and at most {}", metadata_.Where(key), number, limit);
    }
    return number;
  }

  Status CheckMembers() const {
    if (metadata_.is_gguf()) return {};
    for (const std::string& object : objects_) RETURN_IF_ERROR(CheckMembersOf(object, kKnown));
    return source_.section.empty() ? Status() : CheckMembersOf("rope_parameters", kSections);
  }

  Status CheckMembersOf(const std::string& object, std::span<const std::string_view> known) const {
    const Json* value = &metadata_.config();
    for (std::string_view path = object; value != nullptr && !path.empty();) {
      const size_t dot = path.find('.');
      value = value->Find(path.substr(0, dot));
      path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
    }
    if (value == nullptr || value->is_null()) return {};
    if (!value->is_object()) {
      return Error(Code::kInvalidArgument, "config.json '{}': expected an object, found {}", object, value->type_name());
    }
    for (const auto& [name, member] : value->members()) {
      if (std::find(known.begin(), known.end(), name) != known.end() || member.is_null()) continue;
      return Error(Code::kUnsupported, "config.json '{}.{}': not known to this build", object, weights::ShownText(name));
    }
    return {};
  }

  Result<uint32_t> Dims() const {
    const std::string path = PathOf("partial_rotary_factor");
    const Key share_key = path.empty() ? kShare : Key{"", path};
    if (!metadata_.is_gguf()) {
      ASSIGN_OR_RETURN(const double share, metadata_.NumberOr(share_key, source_.share));
      const double dims = share * head_dim_;
      if (!(share > 0 && share <= 1) || std::floor(dims) < 2 || std::fmod(std::floor(dims), 2.0) != 0) {
        return Error(Code::kInvalidArgument, "{}: {} of a head of {}, expected an even part of at most all",
                     metadata_.Where(share_key), share, head_dim_);
      }
      return static_cast<uint32_t>(dims);
    }
    ASSIGN_OR_RETURN(const uint32_t dims, metadata_.DimensionOr(kDims, kMaxHeadDim, head_dim_));
    if (dims > head_dim_ || dims % 2 != 0) {
      return Error(Code::kInvalidArgument, "{}: {}, expected an even number of at most the head size {}", metadata_.Where(kDims),
                   dims, head_dim_);
    }
    return dims;
  }

  Result<double> Base() const {
    const std::string path = PathOf("rope_theta");
    const Key key = path.empty() ? source_.base_key : Key{"", path};
    ASSIGN_OR_RETURN(const double base, metadata_.NumberOr(key, source_.base));
    if (!(base > 1.0 && base <= kMaxBase)) {
      return Error(Code::kInvalidArgument, "{}: {}, expected above 1 and at most {}", metadata_.Where(key), base, kMaxBase);
    }
    return base;
  }

  Result<std::string> Type() const {
    constexpr Key kGgufType{"rope.scaling.type", ""};
    std::string path = PathOf("rope_type");
    if (path.empty()) path = PathOf("type");
    const Key key{kGgufType.gguf, path};
    std::string type = "default";
    if (metadata_.Has(key)) {
      ASSIGN_OR_RETURN(type, metadata_.String(key));
    } else if (metadata_.is_gguf()) {
      // Files without a type mean "linear" where there is a factor (llama.cpp), "longrope" where there are two tables.
      type = metadata_.gguf().FindTensor("rope_factors_long.weight") != nullptr ? "longrope" : "linear";
    }
    if (type == "su" || (type == "yarn" && source_.yarn_means_longrope)) type = "longrope";
    constexpr std::array<std::string_view, 6> kTypes = {"default", "none", "linear", "llama3", "yarn", "longrope"};
    if (std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end()) return type;
    return Error(Code::kUnsupported, "{}: '{}' is not supported by this build, expected one of {}", metadata_.Where(key),
                 weights::ShownText(type), fmt::join(kTypes, ", "));
  }

  Status Scale(const std::string& type, RopeConfig& rope) const {
    if (type == "llama3") return ScaleLlama3(rope);
    if (type == "yarn") return ScaleYarn(rope);
    if (type == "longrope") return ScaleLongRope(rope);
    if (type == "linear") {
      ASSIGN_OR_RETURN(const double factor, metadata_.is_gguf() ? GgufLinearFactor() : Factor());
      rope.frequencies = DividedBy(std::move(rope.frequencies), factor);
    }
    if (!metadata_.is_gguf()) return {};
    if (metadata_.gguf().FindTensor("rope_factors_long.weight") != nullptr) {
      return Error(Code::kUnsupported, "tensor 'rope_factors_long.weight': expected with rope scaling 'longrope', found '{}'",
                   weights::ShownText(type));
    }
    ASSIGN_OR_RETURN(const double magnitude, GgufMagnitude());
    rope.magnitude = static_cast<float>(magnitude);
    if (metadata_.gguf().FindTensor("rope_freqs.weight") == nullptr) return {};
    ASSIGN_OR_RETURN(const auto factors, TensorFactors("rope_freqs.weight", rope.frequencies.size()));
    rope.frequencies = DividedBy(std::move(rope.frequencies), factors);
    return {};
  }

  Result<double> FactorOr(double fallback) const { return NumberOr("rope.scaling.factor", "factor", fallback, kMaxFactor); }

  Result<double> Factor() const {
    const std::string path = PathOf("factor");
    if (!metadata_.is_gguf() && path.empty()) {
      return Error(Code::kDataLoss, "config.json '{}.factor': missing", objects_.back());
    }
    return Checked({"rope.scaling.factor", path}, kMaxFactor);
  }

  // 1 without a key; the older name counts where the newer one is absent.
  Result<double> GgufLinearFactor() const {
    ASSIGN_OR_RETURN(const double old, NumberOr("rope.scale_linear", "", 1, kMaxFactor));
    return FactorOr(old);
  }

  Result<double> GgufMagnitude() const {
    constexpr Key kOld{"rope.scaling.yarn_attn_factor", ""};
    constexpr Key kNew{"rope.scaling.attn_factor", ""};
    const Key key = metadata_.Has(kNew) ? kNew : kOld;
    return metadata_.Has(key) ? Checked(key, kMaxFactor) : Result<double>(1.0);
  }

  // Phi-3 names it beside rope_scaling, and that one wins (transformers, standardize_rope_params).
  Result<double> OriginalContext() const {
    if (!metadata_.is_gguf() && metadata_.Has(kOriginalContext)) return Checked(kOriginalContext, kMaxContext);
    return NumberOr("rope.scaling.original_context_length", "original_max_position_embeddings", context_length_, kMaxContext);
  }

  Status ScaleLlama3(RopeConfig& rope) const {
    Llama3Scaling scaling;
    ASSIGN_OR_RETURN(scaling.factor, Factor());
    ASSIGN_OR_RETURN(scaling.low_frequency_factor, NumberOr("", "low_freq_factor", 1, kMaxFactor));
    ASSIGN_OR_RETURN(scaling.high_frequency_factor, NumberOr("", "high_freq_factor", 4, kMaxFactor));
    ASSIGN_OR_RETURN(scaling.original_context, OriginalContext());
    if (scaling.high_frequency_factor <= scaling.low_frequency_factor) {
      return Error(Code::kInvalidArgument, "config.json '{}.high_freq_factor': {}, expected above low_freq_factor, {}",
                   objects_.back(), scaling.high_frequency_factor, scaling.low_frequency_factor);
    }
    rope.frequencies = ScaledAsLlama3(std::move(rope.frequencies), scaling);
    return {};
  }

  Status ScaleYarn(RopeConfig& rope) const {
    YarnScaling scaling{.base = base_};
    ASSIGN_OR_RETURN(scaling.factor, Factor());
    ASSIGN_OR_RETURN(scaling.original_context, OriginalContext());
    ASSIGN_OR_RETURN(scaling.beta_fast, NumberOr("rope.scaling.yarn_beta_fast", "beta_fast", 32, kMaxFactor));
    ASSIGN_OR_RETURN(scaling.beta_slow, NumberOr("rope.scaling.yarn_beta_slow", "beta_slow", 1, kMaxFactor));
    const std::string truncate = PathOf("truncate");
    ASSIGN_OR_RETURN(scaling.truncate, metadata_.BoolOr({"", truncate}, true));
    rope.frequencies = ScaledAsYarn(std::move(rope.frequencies), scaling);
    ASSIGN_OR_RETURN(const double magnitude, MagnitudeOfYarn(scaling.factor));
    rope.magnitude = static_cast<float>(magnitude);
    return {};
  }

  Result<double> MagnitudeOfYarn(double factor) const {
    if (metadata_.is_gguf()) {
      ASSIGN_OR_RETURN(const double magnitude, GgufMagnitude());
      return magnitude * YarnMagnitude(factor, 1);
    }
    ASSIGN_OR_RETURN(const double given, NumberOr("", "attention_factor", 0, kMaxFactor));
    if (given != 0) return given;
    // Zeros mean the same as no such keys.
    const auto mscale = [this](std::string_view name) -> Result<double> {
      const std::string path = PathOf(name);
      return metadata_.NumberOr({"", path}, 0);
    };
    ASSIGN_OR_RETURN(const double own, mscale("mscale"));
    ASSIGN_OR_RETURN(const double all, mscale("mscale_all_dim"));
    if (own == 0 || all == 0) return YarnMagnitude(factor, 1);
    const double magnitude = YarnMagnitude(factor, own) / YarnMagnitude(factor, all);
    if (!(magnitude > 0 && magnitude <= kMaxFactor)) {
      return Error(Code::kInvalidArgument, "config.json '{}.mscale': {} beside mscale_all_dim {}, expected positive numbers",
                   objects_.back(), own, all);
    }
    return magnitude;
  }

  Status ScaleLongRope(RopeConfig& rope) const {
    ASSIGN_OR_RETURN(const double original, OriginalContext());
    if (original < 2) return Error(Code::kInvalidArgument, "original context {} of longrope, expected at least 2", original);
    const bool is_long = context_length_ > original;
    const size_t count = rope.frequencies.size();
    if (metadata_.is_gguf()) {
      ASSIGN_OR_RETURN(const auto factors,
                       TensorFactors(is_long ? "rope_factors_long.weight" : "rope_factors_short.weight", count));
      rope.frequencies = DividedBy(std::move(rope.frequencies), factors);
      ASSIGN_OR_RETURN(const double magnitude, GgufMagnitude());
      rope.magnitude = static_cast<float>(magnitude);
      return {};
    }
    const std::string_view name = is_long ? "long_factor" : "short_factor";
    const std::string path = PathOf(name);
    const std::string where = path.empty() ? fmt::format("{}.{}", objects_.back(), name) : path;
    ASSIGN_OR_RETURN(const auto factors, metadata_.Numbers({"", where}, kMaxHeadDim));
    RETURN_IF_ERROR(CheckFactors(metadata_.Where({"", where}), factors, count));
    rope.frequencies = DividedBy(std::move(rope.frequencies), factors);
    ASSIGN_OR_RETURN(const double factor, FactorOr(context_length_ / original));
    ASSIGN_OR_RETURN(const double magnitude, NumberOr("", "attention_factor", LongRopeMagnitude(factor, original), kMaxFactor));
    rope.magnitude = static_cast<float>(magnitude);
    return {};
  }

  static Status CheckFactors(const std::string& where, std::span<const double> factors, size_t count) {
    if (factors.size() != count) {
      return Error(Code::kInvalidArgument, "{}: {} factors, expected one for each of the {} rotated pairs", where, factors.size(),
                   count);
    }
    for (const double factor : factors) {
      if (!(factor > 0 && factor <= kMaxFactor)) {
        return Error(Code::kInvalidArgument, "{}: factor {}, expected above 0 and at most {}", where, factor, kMaxFactor);
      }
    }
    return {};
  }

  Result<std::vector<double>> TensorFactors(std::string_view name, size_t count) const {
    const weights::TensorView* tensor = metadata_.gguf().FindTensor(name);
    if (tensor == nullptr) return Error(Code::kDataLoss, "tensor '{}': missing", name);
    if (tensor->dtype != DType::kF32) {
      return Error(Code::kUnsupported, "tensor '{}': expected type F32, found {}", name, Info(tensor->dtype).name);
    }
    std::vector<float> raw(tensor->data.size() / sizeof(float));
    if (!raw.empty()) std::memcpy(raw.data(), tensor->data.data(), raw.size() * sizeof(float));
    const std::vector<double> factors(raw.begin(), raw.end());
    RETURN_IF_ERROR(CheckFactors(fmt::format("tensor '{}'", name), factors, count));
    return factors;
  }

  const Metadata& metadata_;
  const RopeSource& source_;
  uint32_t head_dim_;
  uint32_t context_length_;
  double base_ = 0;
  std::vector<std::string> objects_;  // of config.json, the first that has a parameter wins
};

}  // namespace

Result<RopeConfig> ReadRope(const Metadata& metadata, const RopeSource& source, uint32_t head_dim, uint32_t context_length) {
  return RopeReader(metadata, source, head_dim, context_length).Read();
}

Status AddRope(const Metadata& metadata, const RopeSource& source, ModelConfig& config) {
  ASSIGN_OR_RETURN(RopeConfig rope, ReadRope(metadata, source, config.layers[0].head_dim, config.context_length));
  config.ropes.push_back(std::move(rope));
  return {};
}

}  // namespace millrace::model
