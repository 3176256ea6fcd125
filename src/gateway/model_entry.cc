#include "gateway/model_entry.h"

#include <algorithm>

#include "model/model_file.h"
#include "model/vocabulary_from_gguf.h"
#include "os/mapping.h"

namespace millrace::gateway {
namespace {

constexpr uint32_t kDefaultContext = 8192;

std::string FileStem(const std::string& path) {
  const size_t slash = path.rfind('/');
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (const size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0) name.resize(dot);
  return name;
}

Json TextOf(const text::Vocabulary& vocabulary, std::optional<TokenId> id) { return id ? Json(vocabulary.Text(*id)) : Json(""); }

}  // namespace

Result<std::shared_ptr<const ModelEntry>> ModelEntry::Open(const ModelOptions& options) {
  std::shared_ptr<ModelEntry> entry(new ModelEntry);
  entry->options_ = options;
  if (entry->options_.alias.empty()) entry->options_.alias = FileStem(options.path);
  ASSIGN_OR_RETURN(entry->file_, OpenRegularFile(options.path));
  ASSIGN_OR_RETURN(const FileMapping mapping, FileMapping::Map(entry->file_.fd.get(), entry->file_.identity.size_bytes));
  if (auto taken = entry->TakeText(mapping.bytes()); !taken.ok()) return taken.Within(options.path);

  const uint32_t trained = entry->config_.context_length;
  if (options.context > trained) {
    return Error(Code::kInvalidArgument, "{}: context {}: expected at most {}, what the model was made for", options.path,
                 options.context, trained);
  }
  entry->context_ = options.context != 0 ? options.context : std::min(trained, kDefaultContext);
  return std::shared_ptr<const ModelEntry>(std::move(entry));
}

Status ModelEntry::TakeText(std::span<const std::byte> bytes) {
  ASSIGN_OR_RETURN(const model::ModelFile file, model::ModelFile::Parse(bytes));
  config_ = file.config();
  ASSIGN_OR_RETURN(auto spec, model::VocabularyFromGguf(file.gguf(), config_.vocab));
  ASSIGN_OR_RETURN(auto vocabulary, text::Vocabulary::Build(std::move(spec)));
  ASSIGN_OR_RETURN(tokenizer_, text::Tokenizer::Create(std::move(vocabulary)));
  ASSIGN_OR_RETURN(std::string source, model::ChatTemplateFromGguf(file.gguf()));
  if (source.empty()) return {};
  knows_developer_ = source.find("developer") != std::string::npos;
  ASSIGN_OR_RETURN(template_, text::ChatTemplate::Parse(std::move(source)));
  return {};
}

Json ModelEntry::TemplateContext(std::span<const api::ChatMessage> messages, bool add_generation_prompt,
                                 const Json::Object& arguments) const {
  Json::Array list;
  list.reserve(messages.size());
  for (const api::ChatMessage& message : messages) {
    Json item;
    item.Set("role", message.role == "developer" && !knows_developer_ ? std::string("system") : message.role);
    item.Set("content", message.content);
    if (!message.name.empty()) item.Set("name", message.name);
    if (!message.tool_call_id.empty()) item.Set("tool_call_id", message.tool_call_id);
    if (!message.reasoning.empty()) item.Set("reasoning_content", message.reasoning);
    list.push_back(std::move(item));
  }
  Json context;
  context.Set("messages", std::move(list));
  context.Set("tools", Json());  // templates test them with "if tools", and some with "is not none"
  context.Set("documents", Json());
  context.Set("add_generation_prompt", add_generation_prompt);
  context.Set("bos_token", TextOf(vocabulary(), vocabulary().bos()));
  context.Set("eos_token", TextOf(vocabulary(), vocabulary().eos()));
  context.Set("unk_token", TextOf(vocabulary(), vocabulary().unk()));
  context.Set("pad_token", TextOf(vocabulary(), vocabulary().pad()));
  for (const auto& [key, value] : arguments) context.Set(key, value);
  return context;
}

Result<std::string> ModelEntry::Render(std::span<const api::ChatMessage> messages, bool add_generation_prompt,
                                       const Json::Object& arguments) const {
  if (!template_) return Error(Code::kUnsupported, "the model '{}' has no chat template", alias());
  auto text = template_->Render(TemplateContext(messages, add_generation_prompt, arguments));
  // A template that ran out of its budget did so over this conversation: trying again would not help.
  if (!text.ok() && text.status().code() == Code::kResourceExhausted) {
    return Status(Code::kInvalidArgument, text.status().message());
  }
  return text;
}

}  // namespace millrace::gateway
