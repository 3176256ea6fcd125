// The model store: files by content, aliases by name.
//
//   $MILLRACE_HOME (else $XDG_DATA_HOME/millrace, else ~/.local/share/millrace)
//     models/smollm2.toml        alias: file, hash, size, where it came from, sampling defaults
//     models/qwen.toml           alias of a directory: its path; a directory is served from where it is, not copied
//     files/sha256-<hex>.gguf    the bytes, named by their hash
//
// Entries appear by rename, so a reader never sees half of one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace millrace::cmd {

struct StoreEntry {
  std::string alias;
  std::string file;  // absolute; a file, or a directory with config.json
  std::string sha256;
  uint64_t bytes = 0;
  std::string source;  // what it was added from; for people
  std::optional<double> temperature;
  std::optional<double> top_p;
};

class Store {
 public:
  using Progress = std::function<void(uint64_t done, uint64_t total)>;

  explicit Store(std::string root) : root_(std::move(root)) {}
  static Result<Store> Default();

  const std::string& root() const { return root_; }

  Result<StoreEntry> Find(std::string_view alias) const;
  // By alias. An entry that cannot be read fails the whole, unless `damaged` takes what is wrong with it.
  Result<std::vector<StoreEntry>> List(std::vector<Status>* damaged = nullptr) const;

  // Copies `entry.file` into the store (unless its bytes are there) and points the alias at it. An `entry.sha256` that is not
  // empty must be the file's. Bytes in the store that are no longer what their name says are replaced. Nothing is left behind on failure.
  Result<StoreEntry> Add(StoreEntry entry, const Progress& progress);
  // Points the alias at a directory, which stays where it is. entry.bytes is the caller's to fill.
  Result<StoreEntry> AddDirectory(StoreEntry entry);

 private:
  Status MakeFolders() const;
  std::string root_;
};

bool IsAlias(std::string_view name);  // [A-Za-z0-9][A-Za-z0-9._-]{0,63}

// kNotFound when nothing is there, kInvalidArgument when it is neither a regular file nor a directory. What a directory lacks is found by
// whoever opens it (model/model_files.h).
Status CheckModelPath(const std::string& path);

// A model as people name it: the path of a file or directory, or an alias of the store. The error lists what there is.
Result<StoreEntry> ResolveModel(std::string_view name);

}  // namespace millrace::cmd
