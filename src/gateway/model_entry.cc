#include "gateway/model_entry.h"

#include <algorithm>

#include "ipc/messages.h"
#include "model/model_text.h"

namespace millrace::gateway {
namespace {

constexpr uint32_t kDefaultContext = 8192;

static_assert(model::kMaxModelFiles <= ipc::kMaxAttachFiles && model::kMaxModelFileName <= ipc::kMaxAttachFileName,
              "what can be opened can be given to a worker");
static_assert(model::kMaxModelFileNames + 4 * model::kMaxModelFiles + 1024 <= ipc::kMaxAttachBytes);

Json TextOf(const text::Vocabulary& vocabulary, std::optional<TokenId> id) {
  return id ? Json(vocabulary.FileText(*id)) : Json("");
}

}  // namespace

Result<std::shared_ptr<const ModelEntry>> ModelEntry::Open(const ModelOptions& options) {
  std::shared_ptr<ModelEntry> entry(new ModelEntry);
  entry->options_ = options;
  if (entry->options_.alias.empty()) entry->options_.alias = model::ModelNameOf(options.path);
  ASSIGN_OR_RETURN(entry->files_, model::OpenedModelFiles::Open(options.path));
  ASSIGN_OR_RETURN(const auto mapped, entry->files_->Map());
  const auto file = model::ModelFile::Parse(mapped.files());
  if (!file.ok()) return file.status().Within(options.path);
  if (auto taken = entry->TakeText(*file); !taken.ok()) return taken.Within(options.path);
  if (auto taken = entry->TakeSampling(file->source()); !taken.ok()) return taken.Within(options.path);

  const uint32_t trained = entry->config_.context_length;
  if (options.context > trained) {
    return Error(Code::kInvalidArgument, "{}: context {}: expected at most {}, what the model was made for", options.path,
                 options.context, trained);
  }
  entry->context_ = options.context != 0 ? options.context : std::min(trained, kDefaultContext);
  return std::shared_ptr<const ModelEntry>(std::move(entry));
}

Status ModelEntry::TakeText(const model::ModelFile& file) {
  config_ = file.config();
  ASSIGN_OR_RETURN(const auto spec, model::TokenizerSpecOf(file.source(), config_.vocab));
  ASSIGN_OR_RETURN(tokenizer_, text::Tokenizer::Create(spec));
  ASSIGN_OR_RETURN(std::string source, model::ChatTemplateOf(file.source()));
  if (source.empty()) return {};
  knows_developer_ = source.find("developer") != std::string::npos;
  ASSIGN_OR_RETURN(template_, text::ChatTemplate::Parse(std::move(source)));
  return {};
}

// What the model's maker says comes before what the store remembers.
Status ModelEntry::TakeSampling(const model::ModelSource& source) {
  ASSIGN_OR_RETURN(const model::SamplingHints hints, model::SamplingOf(source));
  SamplingDefaults& sampling = options_.sampling;
  if (hints.temperature) sampling.temperature = hints.temperature;
  if (hints.top_p) sampling.top_p = hints.top_p;
  if (hints.min_p) sampling.min_p = hints.min_p;
  if (hints.top_k) sampling.top_k = hints.top_k;
  if (hints.repetition_penalty) sampling.repetition_penalty = hints.repetition_penalty;
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
