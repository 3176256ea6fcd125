#include "gateway/model_entry.h"

#include <algorithm>

#include "base/log.h"
#include "ipc/messages.h"
#include "model/model_text.h"

namespace millrace::gateway {
namespace {

constexpr uint32_t kDefaultContext = 8192;

static_assert(model::kMaxModelFiles <= ipc::kMaxAttachFiles && model::kMaxModelFileName <= ipc::kMaxAttachFileName,
              "what can be opened can be given to a worker");
static_assert(model::kMaxModelFileNames + 4 * model::kMaxModelFiles + 1024 <= ipc::kMaxAttachBytes);

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
  const auto has_token = [this](std::string_view token) { return this->vocabulary().Find(token).has_value(); };
  ASSIGN_OR_RETURN(chat_, model::ChatOf(file.source(), has_token));
  for (const Status& error : chat().errors()) LogWarning("{}: {}; not used", alias(), error.message());
  if (chat_->format == model::kOwnChatFormat) return {};
  LogWarning("{}: no chat template; conversations are written in the format '{}'", alias(), chat_->format);
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

Result<std::string> ModelEntry::Render(text::ChatInput input) const {
  ASSIGN_OR_RETURN(const text::ChatInput fitted, chat().Fit(std::move(input)));
  auto text = chat().Render(fitted);
  // A template that ran out of its budget did so over this conversation, and one that is not there will not come: trying again would not
  // help.
  const Code code = text.status().code();
  if (code == Code::kResourceExhausted || code == Code::kNotFound) return Status(Code::kInvalidArgument, text.status().message());
  return text;
}

}  // namespace millrace::gateway
