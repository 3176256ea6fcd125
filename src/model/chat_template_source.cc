#include "model/chat_template_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "model/tokenizer_json.h"
#include "text/chat_default.h"
#include "weights/shown_text.h"

namespace millrace::model {
namespace {

using Templates = std::vector<text::NamedTemplate>;

constexpr std::string_view kGgufTemplate = "tokenizer.chat_template";
constexpr std::string_view kTokenSuffix = "_token";
constexpr size_t kMaxSpecialTokens = 256;

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kGgufTokens = {
    {{"bos_token", "tokenizer.ggml.bos_token_id"},
     {"eos_token", "tokenizer.ggml.eos_token_id"},
     {"unk_token", "tokenizer.ggml.unknown_token_id"},
     {"sep_token", "tokenizer.ggml.seperator_token_id"},  // so spelled by the format
     {"sep_token", "tokenizer.ggml.separator_token_id"},
     {"pad_token", "tokenizer.ggml.padding_token_id"},
     {"cls_token", "tokenizer.ggml.cls_token_id"},
     {"mask_token", "tokenizer.ggml.mask_token_id"}}};

Status Add(std::string_view where, std::string_view name, std::string_view source, Templates& out) {
  if (source.size() > kMaxTemplateBytes) {
    return Error(Code::kResourceExhausted, "{}: a chat template of {} bytes, expected at most {}", where, source.size(),
                 kMaxTemplateBytes);
  }
  if (!Utf8IsValid(source)) return Error(Code::kInvalidArgument, "{}: expected UTF-8, found ill-formed bytes", where);
  if (!weights::IsPlainName(name)) {
    return Error(Code::kInvalidArgument, "{}: expected a name without control characters for a chat template", where);
  }
  if (out.size() == text::kMaxChatTemplates) {
    return Error(Code::kResourceExhausted, "{}: more than {} chat templates", where, text::kMaxChatTemplates);
  }
  out.push_back({std::string(name), std::string(source)});
  return {};
}

bool Holds(const Templates& templates, std::string_view name) {
  return std::any_of(templates.begin(), templates.end(), [&](const auto& each) { return each.name == name; });
}

Result<Templates> TemplatesOfGguf(const weights::GgufFile& gguf) {
  Templates out;
  for (const weights::GgufEntry& entry : gguf.metadata()) {
    std::string_view name = text::kDefaultTemplate;
    if (entry.key == kGgufTemplate) {
      // Comes before one that is only called so.
      std::erase_if(out, [](const auto& other) { return other.name == text::kDefaultTemplate; });
    } else {
      if (!entry.key.starts_with(kGgufTemplate) || entry.key[kGgufTemplate.size()] != '.') continue;
      name = entry.key.substr(kGgufTemplate.size() + 1);
      if (name == text::kDefaultTemplate && Holds(out, name)) continue;
    }
    ASSIGN_OR_RETURN(const auto source, gguf.GetString(entry.key));
    RETURN_IF_ERROR(Add(fmt::format("metadata '{}'", weights::ShownText(entry.key)), name, source, out));
  }
  return out;
}

Result<Templates> TemplatesOfFiles(const Checkpoint& checkpoint) {
  Templates out;
  for (const NamedFile& file : checkpoint.files()) {
    std::string_view name = text::kDefaultTemplate;
    if (file.name == kTemplateFile) {
      if (Holds(out, name)) continue;  // one of the folder comes before it
    } else {
      if (!file.name.starts_with(kTemplateFolder) || !file.name.ends_with(kTemplateSuffix)) continue;
      name = file.name.substr(kTemplateFolder.size());
      name.remove_suffix(kTemplateSuffix.size());
      std::erase_if(out, [&](const auto& other) { return other.name == name; });
    }
    RETURN_IF_ERROR(Add(weights::ShownText(file.name), name, file.text(), out));
  }
  return out;
}

// The member "chat_template" of a JSON file.
Result<Templates> TemplatesOfJson(const NamedFile& file) {
  ASSIGN_OR_RETURN(const Json config, ParseSmallJson(file));
  Templates out;
  const Json* value = config.Find("chat_template");
  if (value == nullptr || value->is_null()) return out;
  if (value->is_string()) {
    RETURN_IF_ERROR(Add(file.name, text::kDefaultTemplate, value->as_string(), out));
    return out;
  }
  const auto text_in = [](const Json& item, std::string_view key) {
    const Json* text = item.Find(key);
    return text != nullptr && text->is_string() ? &text->as_string() : nullptr;
  };
  bool well_formed = value->is_array();
  for (size_t i = 0; well_formed && i < value->items().size(); ++i) {
    const std::string* name = text_in(value->items()[i], "name");
    const std::string* source = text_in(value->items()[i], "template");
    well_formed = name != nullptr && source != nullptr;
    // Of two with one name the later counts.
    if (well_formed) std::erase_if(out, [&](const auto& other) { return other.name == *name; });
    if (well_formed) RETURN_IF_ERROR(Add(file.name, *name, *source, out));
  }
  if (well_formed) return out;
  return Error(Code::kInvalidArgument, "{}: 'chat_template': expected a text, or a list of objects with name and template",
               file.name);
}

Result<Json::Object> TokensOfGguf(const weights::GgufFile& gguf) {
  Json out(Json::Object{});
  if (!gguf.Has("tokenizer.ggml.tokens")) return Json::Object();
  ASSIGN_OR_RETURN(const auto tokens, gguf.GetStringArray("tokenizer.ggml.tokens"));
  std::array<std::optional<uint32_t>, kGgufTokens.size()> ids;
  uint32_t last = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!gguf.Has(kGgufTokens[i].second)) continue;
    const auto id = gguf.GetU32(kGgufTokens[i].second);
    if (!id.ok() || *id >= tokens.size()) continue;  // -1 stands for none; what matters to tokens is checked with them
    ids[i] = *id;
    last = std::max(last, *id);
  }
  uint32_t at = 0;
  for (const std::string_view token : tokens) {
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] == at && Utf8IsValid(token)) out.Set(std::string(kGgufTokens[i].first), Json(token));
    }
    if (at++ == last) break;
  }
  return out.members();
}

// A token as the files write it, its text or an object with its content.
const std::string* TokenText(const Json& value) {
  const Json* text = value.is_object() ? value.Find("content") : &value;
  return text != nullptr && text->is_string() ? &text->as_string() : nullptr;
}

Status SetToken(const std::string& name, const Json& value, Json& out) {
  const std::string* text = TokenText(value);
  if (text == nullptr) return {};
  if (out.members().size() == kMaxSpecialTokens) {
    return Error(Code::kResourceExhausted, "more than {} special tokens have names", kMaxSpecialTokens);
  }
  out.Set(name, Json(*text));
  return {};
}

Status TakeTokens(const NamedFile& from, const Json& file, Json& out) {
  if (!file.is_object()) return {};
  for (const auto& [key, value] : file.members()) {
    if (key.ends_with(kTokenSuffix)) RETURN_IF_ERROR(SetToken(key, value, out).Within(from.name));
  }
  for (const std::string_view key : {"extra_special_tokens", "model_specific_special_tokens"}) {
    const Json* named = file.Find(key);
    if (named == nullptr || !named->is_object()) continue;
    for (const auto& [name, value] : named->members()) RETURN_IF_ERROR(SetToken(name, value, out).Within(from.name));
  }
  return {};
}

}  // namespace

Result<std::vector<text::NamedTemplate>> ChatTemplatesOfJson(const NamedFile& file) { return TemplatesOfJson(file); }

Result<Templates> ChatTemplatesOf(const ModelSource& source) {
  if (source.is_gguf()) return TemplatesOfGguf(source.gguf());
  const Checkpoint& checkpoint = source.checkpoint();
  ASSIGN_OR_RETURN(Templates templates, TemplatesOfFiles(checkpoint));
  for (const std::string_view name : {kTokenizerConfigFile, kTemplateJsonFile}) {
    if (!templates.empty()) break;
    ASSIGN_OR_RETURN(templates, TemplatesOfJson(checkpoint.File(name)));
  }
  return templates;
}

std::string TemplateFileOf(std::string_view name) {
  if (name == text::kDefaultTemplate) return std::string(kTemplateFile);
  std::string file(name);
  std::replace(file.begin(), file.end(), '/', '_');
  if (file.starts_with('.')) file.front() = '_';
  return std::string(kTemplateFolder) + file + std::string(kTemplateSuffix);
}

Result<Json::Object> ChatTokensOf(const ModelSource& source) {
  if (source.is_gguf()) return TokensOfGguf(source.gguf());
  const Checkpoint& checkpoint = source.checkpoint();
  Json out(Json::Object{});
  const NamedFile config_file = checkpoint.File(kTokenizerConfigFile);
  ASSIGN_OR_RETURN(const Json config, ParseSmallJson(config_file));
  RETURN_IF_ERROR(TakeTokens(config_file, config, out));
  if (config.Find("added_tokens_decoder") == nullptr) {
    const NamedFile map_file = checkpoint.File(kSpecialTokensFile);
    ASSIGN_OR_RETURN(const Json map, ParseSmallJson(map_file));
    RETURN_IF_ERROR(TakeTokens(map_file, map, out));
  }
  return out.members();
}

Result<ModelChat> ChatOf(const ModelSource& source, const std::function<bool(std::string_view)>& has_token) {
  ASSIGN_OR_RETURN(Templates templates, ChatTemplatesOf(source));
  std::string_view format = kOwnChatFormat;
  if (templates.empty()) {
    text::DefaultChat chosen = text::DefaultChatFor(has_token);
    templates.push_back(std::move(chosen.text));
    format = chosen.kind;
  }
  ASSIGN_OR_RETURN(Json::Object tokens, ChatTokensOf(source));
  ASSIGN_OR_RETURN(auto parsed, text::ChatTemplates::Create(std::move(templates), std::move(tokens)));
  return ModelChat{std::move(parsed), format};
}

}  // namespace millrace::model
