#include "cmd/opened_model.h"

#include <optional>
#include <utility>

#include "model/model_text.h"

namespace millrace::cmd {

Result<OpenedModel> OpenModel(std::string_view name) {
  ASSIGN_OR_RETURN(StoreEntry entry, ResolveModel(name));
  ASSIGN_OR_RETURN(const auto opened, model::OpenedModelFiles::Open(entry.file));
  ASSIGN_OR_RETURN(auto mapped, opened.Map());
  auto source = model::ModelSource::Parse(mapped.files());
  if (!source.ok()) return source.status().Within(entry.file);
  return OpenedModel{std::move(entry), std::move(mapped), *std::move(source)};
}

Result<std::shared_ptr<const text::Tokenizer>> OpenTokenizer(const OpenedModel& model) {
  const auto build = [&model]() -> Result<std::shared_ptr<const text::Tokenizer>> {
    ASSIGN_OR_RETURN(auto spec, model::VocabularyOf(model.source, std::nullopt));
    ASSIGN_OR_RETURN(auto vocabulary, text::Vocabulary::Build(std::move(spec)));
    return text::Tokenizer::Create(std::move(vocabulary));
  };
  auto tokenizer = build();
  if (!tokenizer.ok()) return tokenizer.status().Within(model.entry.file);
  return tokenizer;
}

Result<model::ModelChat> OpenChat(const OpenedModel& model) {
  // A template needs no tokenizer, so one that this build cannot read is no hindrance.
  const auto tokenizer = OpenTokenizer(model);
  const auto has_token = [&tokenizer](std::string_view token) {
    return tokenizer.ok() && (*tokenizer)->vocabulary().Find(token).has_value();
  };
  auto chat = model::ChatOf(model.source, has_token);
  if (!chat.ok()) return chat.status().Within(model.entry.file);
  return chat;
}

}  // namespace millrace::cmd
