#include <CLI/CLI.hpp>
#include <cstdio>

#include "cmd/commands.h"
#include "cmd/exit_code.h"
#include "cmd/progress.h"
#include "cmd/store.h"
#include "cmd/validators.h"
#include "model/model_file.h"
#include "os/file.h"
#include "os/mapping.h"

namespace millrace::cmd {

namespace {

// A file that no server could load is refused here, and not at every later start.
Status CheckLoadable(const std::string& path) {
  RETURN_IF_ERROR(CheckModelPath(path));
  ASSIGN_OR_RETURN(const RegularFile file, OpenRegularFile(path));
  ASSIGN_OR_RETURN(const FileMapping mapping, FileMapping::Map(file.fd.get(), file.identity.size_bytes));
  return ToStatus(model::ModelFile::Parse(mapping.bytes())).Within(path);
}

int Add(StoreEntry entry) {
  if (entry.alias.empty()) return Fail(Error(Code::kInvalidArgument, "name the model: millrace add FILE --alias NAME"));
  auto store = Store::Default();
  if (!store.ok()) return Fail(store.status());
  if (const Status loadable = CheckLoadable(entry.file); !loadable.ok()) return Fail(loadable);
  entry.source = entry.file;
  ProgressLine progress("copying");
  const auto added = store->Add(std::move(entry), [&progress](uint64_t done, uint64_t total) { progress.Show(done, total); });
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
  CLI::App* add = app.add_subcommand("add", "Put a model file into the store under a name");
  add->add_option("FILE", entry->file, "GGUF file")->required();
  add->add_option("--alias", entry->alias, "Name that requests and commands use");
  add->add_option("--sha256", entry->sha256, "Refuse the file unless it has this hash (hexadecimal)")->check(CheckSha256);
  add->add_option("--temperature", entry->temperature, "Default where a request is silent")
      ->check(CheckFinite)
      ->check(CLI::Range(0.0, 100.0));
  add->add_option("--top-p", entry->top_p, "Default where a request is silent")->check(CheckFinite)->check(CLI::Range(0.0, 1.0));
  add->callback([entry, &exit_code] { exit_code = Add(*entry); });

  CLI::App* list = app.add_subcommand("list", "List the models of the store");
  list->callback([&exit_code] { exit_code = List(); });
}

}  // namespace millrace::cmd
