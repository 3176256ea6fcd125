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
    ASSIGN_OR_RETURN(const auto spec, model::TokenizerSpecOf(model.source, std::nullopt));
    return text::Tokenizer::Create(spec);
  };
  auto tokenizer = build();
  if (!tokenizer.ok()) return tokenizer.status().Within(model.entry.file);
  return tokenizer;
}

Result<text::ChatTemplate> OpenTemplate(const OpenedModel& model) {
  auto source = model::ChatTemplateOf(model.source);
  if (!source.ok()) return source.status().Within(model.entry.file);
  if (source->empty()) return Error(Code::kNotFound, "{}: the model has no chat template", model.entry.file);
  auto parsed = text::ChatTemplate::Parse(*std::move(source));
  if (!parsed.ok()) return parsed.status().Within(model.entry.file);
  return parsed;
}

}  // namespace millrace::cmd
