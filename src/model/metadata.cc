#include "model/metadata.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "weights/shown_text.h"

namespace millrace::model {

Result<Metadata> Metadata::Of(const weights::GgufFile& file) {
  Metadata metadata;
  metadata.gguf_ = &file;
  ASSIGN_OR_RETURN(metadata.architecture_, file.GetString("general.architecture"));
  return metadata;
}

Result<Metadata> Metadata::Of(const Json& config) {
  if (!config.is_object()) return Error(Code::kDataLoss, "config.json: expected an object, found {}", config.type_name());
  const Json* type = config.Find("model_type");
  if (type == nullptr || !type->is_string()) return Error(Code::kDataLoss, "config.json 'model_type': expected a string");
  Metadata metadata;
  metadata.config_ = &config;
  metadata.architecture_ = type->as_string();
  return metadata;
}

std::string Metadata::name() const {
  if (is_gguf()) {
    const auto name = gguf_->GetString("general.name");
    return name.ok() ? weights::ShownText(*name) : std::string();
  }
  const Json* name = config_->Find("_name_or_path");
  return name != nullptr && name->is_string() ? weights::ShownText(name->as_string()) : std::string();
}

std::string Metadata::GgufKey(const Key& key) const { return fmt::format("{}.{}", architecture_, key.gguf); }

const Json* Metadata::FindConfig(std::string_view path) const {
  const Json* at = config_;
  while (at != nullptr && !path.empty()) {
    const size_t dot = path.find('.');
    at = at->Find(path.substr(0, dot));
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return at;
}

bool Metadata::Has(const Key& key) const {
  if (is_gguf()) return !key.gguf.empty() && gguf_->Has(GgufKey(key));
  const Json* value = key.config.empty() ? nullptr : FindConfig(key.config);
  return value != nullptr && !value->is_null();
}

bool Metadata::IsNull(const Key& key) const {
  const Json* value = is_gguf() || key.config.empty() ? nullptr : FindConfig(key.config);
  return value != nullptr && value->is_null();
}

std::string Metadata::Where(const Key& key) const {
  return is_gguf() ? fmt::format("metadata '{}'", weights::ShownText(GgufKey(key))) : fmt::format("config.json '{}'", key.config);
}

Result<const Json*> Metadata::RequireConfig(const Key& key) const {
  if (!Has(key)) return Error(Code::kDataLoss, "{}: missing", Where(key));
  const Json* value = FindConfig(key.config);
  return value;
}

Status Metadata::WrongType(const Key& key, std::string_view expected, const Json& found) const {
  return Error(Code::kInvalidArgument, "{}: expected {}, found {}", Where(key), expected, found.type_name());
}

Result<uint32_t> Metadata::U32(const Key& key) const {
  if (is_gguf()) return gguf_->GetU32(GgufKey(key));
  ASSIGN_OR_RETURN(const Json* value, RequireConfig(key));
  if (!value->is_number()) return WrongType(key, "a whole number", *value);
  const auto whole = value->as_uint64();
  if (!whole.ok() || *whole > std::numeric_limits<uint32_t>::max()) {
    return Error(Code::kInvalidArgument, "{}: {}, expected a whole number below 2^32", Where(key), value->Write());
  }
  return static_cast<uint32_t>(*whole);
}

Result<double> Metadata::Number(const Key& key) const {
  double number = 0;
  if (is_gguf()) {
    const auto real = gguf_->GetF32(GgufKey(key));
    const auto whole = gguf_->GetU32(GgufKey(key));
    if (!real.ok() && !whole.ok()) return real.status();
    number = real.ok() ? static_cast<double>(*real) : static_cast<double>(*whole);
  } else {
    ASSIGN_OR_RETURN(const Json* value, RequireConfig(key));
    if (!value->is_number()) return WrongType(key, "a number", *value);
    number = value->as_double();
  }
  if (!std::isfinite(number)) return Error(Code::kInvalidArgument, "{}: {}, expected a finite number", Where(key), number);
  return number;
}

Result<bool> Metadata::Bool(const Key& key) const {
  if (is_gguf()) return gguf_->GetBool(GgufKey(key));
  ASSIGN_OR_RETURN(const Json* value, RequireConfig(key));
  if (!value->is_bool()) return WrongType(key, "true or false", *value);
  return value->as_bool();
}

Result<std::string> Metadata::String(const Key& key) const {
  if (is_gguf()) {
    ASSIGN_OR_RETURN(const auto text, gguf_->GetString(GgufKey(key)));
    return std::string(text);
  }
  ASSIGN_OR_RETURN(const Json* value, RequireConfig(key));
  if (!value->is_string()) return WrongType(key, "a string", *value);
  return value->as_string();
}

Result<const Json*> Metadata::RequireList(const Key& key, size_t limit) const {
  ASSIGN_OR_RETURN(const Json* value, RequireConfig(key));
  if (!value->is_array()) return WrongType(key, "a list", *value);
  if (value->items().size() > limit) {
    return Error(Code::kInvalidArgument, "{}: {} elements, expected at most {}", Where(key), value->items().size(), limit);
  }
  return value;
}

Result<std::vector<double>> Metadata::GgufNumbers(const Key& key, size_t limit) const {
  const weights::GgufEntry* entry = gguf_->Find(GgufKey(key));
  if (entry == nullptr) return Error(Code::kDataLoss, "{}: missing", Where(key));
  if (entry->type == weights::GgufType::kArray && entry->count > limit) {
    return Error(Code::kInvalidArgument, "{}: {} elements, expected at most {}", Where(key), entry->count, limit);
  }
  if (entry->type == weights::GgufType::kArray && entry->element_type == weights::GgufType::kBool) {
    std::vector<double> numbers;
    for (const std::byte value : entry->value) numbers.push_back(value == std::byte{0} ? 0.0 : 1.0);
    return numbers;
  }
  if (entry->type == weights::GgufType::kArray && entry->element_type == weights::GgufType::kFloat32) {
    ASSIGN_OR_RETURN(const auto numbers, gguf_->GetF32Array(GgufKey(key)));
    return std::vector<double>(numbers.begin(), numbers.end());
  }
  ASSIGN_OR_RETURN(const auto numbers, gguf_->GetI32Array(GgufKey(key)));
  return std::vector<double>(numbers.begin(), numbers.end());
}

Result<std::vector<double>> Metadata::Numbers(const Key& key, size_t limit) const {
  std::vector<double> numbers;
  if (is_gguf()) {
    ASSIGN_OR_RETURN(numbers, GgufNumbers(key, limit));
  } else {
    ASSIGN_OR_RETURN(const Json* list, RequireList(key, limit));
    for (const Json& item : list->items()) {
      if (!item.is_number() && !item.is_bool()) return WrongType(key, "a list of numbers", item);
      numbers.push_back(item.is_bool() ? (item.as_bool() ? 1.0 : 0.0) : item.as_double());
    }
  }
  for (const double number : numbers) {
    if (!std::isfinite(number)) return Error(Code::kInvalidArgument, "{}: {}, expected finite numbers", Where(key), number);
  }
  return numbers;
}

Result<std::vector<std::string>> Metadata::Strings(const Key& key, size_t limit) const {
  std::vector<std::string> strings;
  if (is_gguf()) {
    ASSIGN_OR_RETURN(const auto list, gguf_->GetStringArray(GgufKey(key)));
    if (list.size() > limit) {
      return Error(Code::kInvalidArgument, "{}: {} elements, expected at most {}", Where(key), list.size(), limit);
    }
    for (const std::string_view text : list) strings.emplace_back(text);
    return strings;
  }
  ASSIGN_OR_RETURN(const Json* list, RequireList(key, limit));
  for (const Json& item : list->items()) {
    if (!item.is_string()) return WrongType(key, "a list of strings", item);
    strings.push_back(item.as_string());
  }
  return strings;
}

Result<uint32_t> Metadata::U32Or(const Key& key, uint32_t fallback) const { return Has(key) ? U32(key) : fallback; }
Result<double> Metadata::NumberOr(const Key& key, double fallback) const { return Has(key) ? Number(key) : fallback; }
Result<bool> Metadata::BoolOr(const Key& key, bool fallback) const { return Has(key) ? Bool(key) : fallback; }

Result<uint32_t> Metadata::Dimension(const Key& key, uint32_t limit) const {
  ASSIGN_OR_RETURN(const uint32_t value, U32(key));
  if (value < 1 || value > limit) return Error(Code::kInvalidArgument, "{}: {}, expected 1 to {}", Where(key), value, limit);
  return value;
}

Result<uint32_t> Metadata::DimensionOr(const Key& key, uint32_t limit, uint32_t fallback) const {
  return Has(key) ? Dimension(key, limit) : fallback;
}

}  // namespace millrace::model
