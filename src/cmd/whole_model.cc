#include "cmd/whole_model.h"

#include <filesystem>
#include <utility>

#include "cmd/store.h"
#include "model/model_text.h"

namespace millrace::cmd {

Result<WholeModel> OpenWholeModel(std::string_view name) {
  std::string path(name);
  std::error_code ec;
  if (!std::filesystem::is_directory(path, ec)) {
    ASSIGN_OR_RETURN(const StoreEntry entry, ResolveModel(name));
    path = entry.file;
  }
  ASSIGN_OR_RETURN(const auto opened, model::OpenedModelFiles::Open(path));
  ASSIGN_OR_RETURN(auto mapped, opened.Map());
  auto file = model::ModelFile::Parse(mapped.files());
  if (!file.ok()) return file.status().Within(path);
  const bool is_path = name.find('/') != std::string_view::npos;
  return WholeModel{.name = is_path ? model::ModelNameOf(path) : std::string(name),
                    .path = std::move(path),
                    .mapped = std::move(mapped),
                    .file = *std::move(file)};
}

Result<std::shared_ptr<const text::Tokenizer>> TokenizerOf(const WholeModel& model) {
  const auto build = [&model]() -> Result<std::shared_ptr<const text::Tokenizer>> {
    ASSIGN_OR_RETURN(auto spec, model::VocabularyOf(model.file.source(), model.file.config().vocab));
    ASSIGN_OR_RETURN(auto vocabulary, text::Vocabulary::Build(std::move(spec)));
    return text::Tokenizer::Create(std::move(vocabulary));
  };
  auto tokenizer = build();
  if (!tokenizer.ok()) return tokenizer.status().Within(model.path);
  return tokenizer;
}

}  // namespace millrace::cmd
