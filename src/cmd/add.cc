#include <CLI/CLI.hpp>
#include <cstdio>

#include "cmd/commands.h"
#include "cmd/exit_code.h"
#include "cmd/progress.h"
#include "cmd/store.h"
#include "cmd/validators.h"
#include "model/model_file.h"
#include "model/model_files.h"

namespace millrace::cmd {

namespace {

// What no server could load is refused here, and not at every later start.
Result<uint64_t> CheckLoadable(const model::OpenedModelFiles& opened) {
  ASSIGN_OR_RETURN(const auto mapped, opened.Map());
  const auto file = model::ModelFile::Parse(mapped.files());
  if (!file.ok()) return file.status().Within(opened.path());
  return mapped.bytes();
}

Result<StoreEntry> AddTo(Store& store, StoreEntry entry) {
  ASSIGN_OR_RETURN(const auto opened, model::OpenedModelFiles::Open(entry.file));
  ASSIGN_OR_RETURN(entry.bytes, CheckLoadable(opened));
  entry.source = entry.file;
  if (!opened.is_directory()) {
    ProgressLine progress("copying");
    return store.Add(std::move(entry), [&progress](uint64_t done, uint64_t total) { progress.Show(done, total); });
  }
  if (!entry.sha256.empty()) return Error(Code::kInvalidArgument, "--sha256: {} is a directory, expected a file", entry.file);
  ASSIGN_OR_RETURN(const StoreEntry resolved, ResolveModel(opened.path() + "/"));
  entry.file = resolved.file;
  ASSIGN_OR_RETURN(StoreEntry added, store.AddDirectory(std::move(entry)));
  std::fprintf(stderr, "a directory is served from where it is: keep %s\n", added.file.c_str());
  return added;
}

int Add(StoreEntry entry) {
  if (entry.alias.empty()) return Fail(Error(Code::kInvalidArgument, "name the model: millrace add FILE --alias NAME"));
  auto store = Store::Default();
  if (!store.ok()) return Fail(store.status());
  const auto added = AddTo(*store, std::move(entry));
  if (!added.ok()) return Fail(added.status());
  std::printf("%s: %s (%.1f MB)\n", added->alias.c_str(), added->file.c_str(), static_cast<double>(added->bytes) / 1e6);
  return kExitOk;
}

int List() {
  const auto store = Store::Default();
  if (!store.ok()) return Fail(store.status());
  std::vector<Status> damaged;
  const auto entries = store->List(&damaged);
  if (!entries.ok()) return Fail(entries.status());
  if (entries->empty() && damaged.empty())
    std::fprintf(stderr, "the store %s is empty; add a model: millrace add FILE --alias NAME\n", store->root().c_str());
  for (const StoreEntry& entry : *entries) {
    std::printf("%-24s %9.1f MB  %s\n", entry.alias.c_str(), static_cast<double>(entry.bytes) / 1e6, entry.file.c_str());
  }
  int exit_code = kExitOk;
  for (const Status& status : damaged) exit_code = Fail(status);
  return exit_code;
}

}  // namespace

void AddAdd(CLI::App& app, int& exit_code) {
  auto entry = std::make_shared<StoreEntry>();
  CLI::App* add = app.add_subcommand("add", "Put a model into the store under a name");
  add->add_option("FILE", entry->file, "GGUF file, which is copied; or directory with config.json, which stays where it is")
      ->required();
  add->add_option("--alias", entry->alias, "Name that requests and commands use");
  add->add_option("--sha256", entry->sha256, "Refuse the file unless it has this hash (hexadecimal)")->check(CheckSha256);
  add->add_option("--temperature", entry->temperature, "Default where request and generation_config.json are silent")
      ->check(CheckFinite)
      ->check(CLI::Range(0.0, 100.0));
  add->add_option("--top-p", entry->top_p, "The same")->check(CheckFinite)->check(CLI::Range(0.0, 1.0));
  add->callback([entry, &exit_code] { exit_code = Add(*entry); });

  CLI::App* list = app.add_subcommand("list", "List the models of the store");
  list->callback([&exit_code] { exit_code = List(); });
}

}  // namespace millrace::cmd
