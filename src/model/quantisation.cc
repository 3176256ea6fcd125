#include "model/quantisation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "weights/shown_text.h"

namespace millrace::model {

namespace {

constexpr std::array<uint64_t, 3> kGroups = {32, 64, 128};
constexpr std::array<uint64_t, 3> kBits = {4, 6, 8};

Result<uint32_t> OneOf(const Json& table, std::string_view key, const std::array<uint64_t, 3>& known, std::string_view where) {
  const Json* value = table.Find(key);
  if (value == nullptr) return Error(Code::kDataLoss, "config.json '{}.{}': missing", where, key);
  const auto number = value->is_integer() ? value->as_uint64() : Result<uint64_t>(Status(Code::kInvalidArgument, "no integer"));
  if (!number.ok() || std::find(known.begin(), known.end(), *number) == known.end()) {
    return Error(Code::kUnsupported, "config.json '{}.{}': {} is not supported, expected one of {}", where, key,
                 weights::ShownText(value->Write()), fmt::join(known, ", "));
  }
  return static_cast<uint32_t>(*number);
}

Result<AffineFormat> ReadFormat(const Json& table, std::string_view where) {
  if (const Json* mode = table.Find("mode"); mode != nullptr && !(mode->is_string() && mode->as_string() == "affine")) {
    return Error(Code::kUnsupported, "config.json '{}.mode': {} is not supported, expected \"affine\" or no such key", where,
                 weights::ShownText(mode->Write()));
  }
  AffineFormat format;
  ASSIGN_OR_RETURN(format.group, OneOf(table, "group_size", kGroups, where));
  ASSIGN_OR_RETURN(format.bits, OneOf(table, "bits", kBits, where));
  return format;
}

// What transformers calls "quantization_config": MLX repeats its own table there, everybody else names a method.
Status RefuseMethods(const Json& config) {
  const Json* table = config.Find("quantization_config");
  if (table == nullptr || table->is_null()) return {};
  if (!table->is_object()) {
    return Error(Code::kInvalidArgument, "config.json 'quantization_config': expected an object, found {}", table->type_name());
  }
  const Json* method = table->Find("quant_method");
  if (method == nullptr) return {};
  return Error(
      Code::kUnsupported,
      "config.json 'quantization_config.quant_method': {} is not supported; take the unquantised checkpoint with --quantize "
      "4 or 8, or one in the format of MLX or GGUF",
      weights::ShownText(method->Write()));
}

}  // namespace

Result<Quantisation> Quantisation::Of(const Json& config) {
  RETURN_IF_ERROR(RefuseMethods(config));
  Quantisation out;
  for (const std::string_view key : {"quantization", "quantization_config"}) {
    const Json* table = config.Find(key);
    if (table == nullptr || table->is_null()) continue;
    if (!table->is_object()) {
      return Error(Code::kInvalidArgument, "config.json '{}': expected an object, found {}", key, table->type_name());
    }
    ASSIGN_OR_RETURN(out.default_, ReadFormat(*table, key));
    RETURN_IF_ERROR(out.ReadOverrides(*table, key));
    break;
  }
  return out;
}

Status Quantisation::ReadOverrides(const Json& table, std::string_view where) {
  for (const auto& [key, value] : table.members()) {
    if (key == "group_size" || key == "bits" || key == "mode") continue;
    const std::string path = fmt::format("{}.{}", where, weights::ShownText(key));
    Override entry{.module = key, .format = default_};
    if (value.is_object()) {
      ASSIGN_OR_RETURN(entry.format, ReadFormat(value, path));
    } else if (!value.is_bool()) {
      return Error(Code::kUnsupported,
                   "config.json '{}': expected group_size, bits, mode or a module with an object, true or false", path);
    } else if (!value.as_bool()) {
      entry.format.reset();
    }
    overrides_.push_back(std::move(entry));
  }
  std::sort(overrides_.begin(), overrides_.end(), [](const Override& a, const Override& b) { return a.module < b.module; });
  return {};
}

std::optional<AffineFormat> Quantisation::For(std::string_view module) const {
  const auto at = std::lower_bound(overrides_.begin(), overrides_.end(), module,
                                   [](const Override& entry, std::string_view wanted) { return entry.module < wanted; });
  return at != overrides_.end() && at->module == module ? at->format : default_;
}

}  // namespace millrace::model
