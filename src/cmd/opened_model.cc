#include "cmd/opened_model.h"

#include "model/vocabulary_from_gguf.h"
#include "os/file.h"

namespace millrace::cmd {

Result<OpenedModel> OpenModel(std::string_view name) {
  ASSIGN_OR_RETURN(StoreEntry entry, ResolveModel(name));
  ASSIGN_OR_RETURN(const RegularFile file, OpenRegularFile(entry.file));
  ASSIGN_OR_RETURN(FileMapping mapping, FileMapping::Map(file.fd.get(), file.identity.size_bytes));
  auto gguf = weights::GgufFile::Parse(mapping.bytes());
  if (!gguf.ok()) return gguf.status().Within(entry.file);
  return OpenedModel{std::move(entry), std::move(mapping), *std::move(gguf)};
}

Result<std::shared_ptr<const text::Tokenizer>> OpenTokenizer(const OpenedModel& model) {
  const auto build = [&model]() -> Result<std::shared_ptr<const text::Tokenizer>> {
    ASSIGN_OR_RETURN(const auto tokens, model.gguf.GetStringArray("tokenizer.ggml.tokens"));
    ASSIGN_OR_RETURN(auto spec, model::VocabularyFromGguf(model.gguf, static_cast<uint32_t>(tokens.size())));
    ASSIGN_OR_RETURN(auto vocabulary, text::Vocabulary::Build(std::move(spec)));
    return text::Tokenizer::Create(std::move(vocabulary));
  };
  auto tokenizer = build();
  if (!tokenizer.ok()) return tokenizer.status().Within(model.entry.file);
  return tokenizer;
}

Result<text::ChatTemplate> OpenTemplate(const OpenedModel& model) {
  auto source = model::ChatTemplateFromGguf(model.gguf);
  if (!source.ok()) return source.status().Within(model.entry.file);
  if (source->empty()) return Error(Code::kNotFound, "{}: the file has no chat template", model.entry.file);
  auto parsed = text::ChatTemplate::Parse(*std::move(source));
  if (!parsed.ok()) return parsed.status().Within(model.entry.file);
  return parsed;
}

}  // namespace millrace::cmd
