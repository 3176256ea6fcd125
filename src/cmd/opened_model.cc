#include "cmd/opened_model.h"

#include <array>
#include <filesystem>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "model/model_text.h"
#include "os/file.h"

namespace millrace::cmd {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxTextFileBytes = size_t{64} << 20;

Result<text::TokenizerSpec> SpecInFolder(const fs::path& folder) {
  constexpr std::array<std::string_view, 5> kNames = {model::kConfigFile, model::kTokenizerFile, model::kTokenizerConfigFile,
                                                      model::kSpecialTokensFile, model::kGenerationConfigFile};
  std::array<std::string, kNames.size()> contents;
  std::vector<model::NamedFile> files;
  for (size_t i = 0; i < kNames.size(); ++i) {
    const fs::path path = folder / kNames[i];
    std::error_code ec;
    if (!fs::exists(path, ec)) continue;
    ASSIGN_OR_RETURN(contents[i], ReadSmallFile(path.string(), kMaxTextFileBytes));
    files.push_back({kNames[i], std::as_bytes(std::span(contents[i]))});
  }
  return model::TokenizerSpecOfFiles(files);
}

}  // namespace

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

Result<std::shared_ptr<const text::Tokenizer>> OpenTokenizerOf(std::string_view name) {
  ASSIGN_OR_RETURN(const StoreEntry entry, ResolveModel(name));
  fs::path folder(entry.file);
  std::error_code ec;
  if (!fs::is_directory(folder, ec)) {
    if (folder.filename() != model::kTokenizerFile && folder.filename() != model::kConfigFile) {
      ASSIGN_OR_RETURN(const OpenedModel model, OpenModel(name));
      return OpenTokenizer(model);
    }
    folder = folder.parent_path();
  }
  auto spec = SpecInFolder(folder);
  if (!spec.ok()) return spec.status().Within(folder.string());
  auto tokenizer = text::Tokenizer::Create(*spec);
  if (!tokenizer.ok()) return tokenizer.status().Within(folder.string());
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
