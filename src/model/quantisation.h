// How config.json says that a checkpoint's matrices are quantised: MLX's "quantization", a group size and a number of bits, with overrides
// for single modules. Every other way ("quantization_config" of transformers: GPTQ, AWQ, FP8, bitsandbytes, ...) is refused by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/json.h"
#include "base/status.h"

namespace millrace::model {

// w = scale * code + bias, codes of `bits` bits, one scale and one bias for `group` columns.
struct AffineFormat {
  uint32_t group = 0;
  uint32_t bits = 0;

  DType dtype() const { return bits == 4 ? DType::kAffine4 : bits == 6 ? DType::kAffine6 : DType::kAffine8; }
  bool operator==(const AffineFormat&) const = default;
};

class Quantisation {
 public:
  // kUnsupported for a method, mode, group size or number of bits that this build does not know; kInvalidArgument for values of another
  // type. Messages name the key.
  static Result<Quantisation> Of(const Json& config);

  // Whether the configuration says anything of quantisation.
  bool present() const { return default_.has_value(); }
  // Of the module ("model.layers.0.mlp.down_proj"); nothing where it is said to be left as it was, or nothing is said.
  std::optional<AffineFormat> For(std::string_view module) const;

 private:
  struct Override {
    std::string module;
    std::optional<AffineFormat> format;
  };
  Status ReadOverrides(const Json& table, std::string_view where);

  std::optional<AffineFormat> default_;
  std::vector<Override> overrides_;  // sorted by module
};

}  // namespace millrace::model
