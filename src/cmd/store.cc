#include "cmd/store.h"

#include <fmt/core.h>
#include <unistd.h>

#include <toml++/toml.h>
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "cmd/sha256.h"
#include "model/model_files.h"

namespace millrace::cmd {

namespace fs = std::filesystem;

namespace {

Status FileError(const fs::path& path, const std::error_code& ec) {
  const bool missing = ec == std::errc::no_such_file_or_directory;
  return Error(missing ? Code::kNotFound : Code::kUnavailable, "{}: {}", path.string(), ec.message());
}

Result<StoreEntry> ReadEntry(const fs::path& path) {
  const toml::parse_result parsed = toml::parse_file(path.string());
  if (!parsed) {
    return Error(Code::kDataLoss, "{}: line {}: {}", path.string(), parsed.error().source().begin.line,
                 parsed.error().description());
  }
  const toml::table& table = parsed.table();
  StoreEntry entry;
  entry.alias = path.stem().string();
  entry.file = table["file"].value_or(std::string());
  entry.sha256 = table["sha256"].value_or(std::string());
  entry.bytes = static_cast<uint64_t>(std::max<int64_t>(0, table["bytes"].value_or(int64_t{0})));
  entry.source = table["source"].value_or(std::string());
  for (const char* key : {"temperature", "top_p"}) {
    if (table.contains(key) && !table[key].is_number())
      return Error(Code::kDataLoss, "{}: '{}': expected a number", path.string(), key);
  }
  entry.temperature = table["temperature"].value<double>();
  entry.top_p = table["top_p"].value<double>();
  if (entry.file.empty()) return Error(Code::kDataLoss, "{}: expected a string 'file', found none", path.string());
  if (fs::path(entry.file).is_relative()) entry.file = (path.parent_path().parent_path() / entry.file).string();
  return entry;
}

// Removes a file that is not finished, unless Keep is called.
class PartFile {
 public:
  // The process's number: two of them may write the same file at once.
  explicit PartFile(const fs::path& target) : path_(fmt::format("{}.{}.part", target.string(), getpid())) {}
  ~PartFile() {
    std::error_code ec;
    if (!path_.empty()) fs::remove(path_, ec);
  }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  const fs::path& path() const { return path_; }
  Status RenameTo(const fs::path& target) {
    std::error_code ec;
    fs::rename(path_, target, ec);
    if (ec) return FileError(target, ec);
    path_.clear();
    return {};
  }

 private:
  fs::path path_;
};

Status WriteEntry(const fs::path& path, const StoreEntry& entry, const std::string& file) {
  toml::table table{
      {"file", file}, {"sha256", entry.sha256}, {"bytes", static_cast<int64_t>(entry.bytes)}, {"source", entry.source}};
  if (entry.temperature) table.insert("temperature", *entry.temperature);
  if (entry.top_p) table.insert("top_p", *entry.top_p);
  PartFile part(path);
  {
    std::ofstream out(part.path());
    out << table << '\n';
    if (!out.flush()) return Error(Code::kUnavailable, "{}: cannot be written", part.path().string());
  }
  return part.RenameTo(path);
}

// Copies through a .part file; a copy that fails, or is not of `sha256` because the file was still being written, leaves nothing.
Status CopyFile(const fs::path& from, const fs::path& to, const std::string& sha256, const Store::Progress& progress) {
  std::error_code ec;
  PartFile part(to);
  const uint64_t total = fs::file_size(from, ec);
  std::ifstream in(from, std::ios::binary);
  std::ofstream out(part.path(), std::ios::binary | std::ios::trunc);
  std::vector<char> buffer(size_t{4} << 20);
  uint64_t done = 0;
  while (in && out) {
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    out.write(buffer.data(), in.gcount());
    done += static_cast<uint64_t>(in.gcount());
    if (progress) progress(done, total);
  }
  out.close();
  if (!in.eof() || !out || done != total) {
    return Error(Code::kUnavailable, "{}: copying to {} stopped after {} of {} bytes: is the disk full?", from.string(),
                 to.string(), done, total);
  }
  ASSIGN_OR_RETURN(const std::string copied, Sha256OfFile(part.path().string(), nullptr));
  if (copied != sha256)
    return Error(Code::kUnavailable, "{}: changed while it was copied: add it when it is complete", from.string());
  return part.RenameTo(to);
}

Status NoAlias(std::string_view text) {
  return Error(Code::kInvalidArgument,
               "'{}' is no alias: expected 1 to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit", text);
}

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

bool IsAlias(std::string_view name) {
  if (name.empty() || name.size() > 64 || std::isalnum(static_cast<unsigned char>(name[0])) == 0) return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-'; });
}

Result<Store> Store::Default() {
  if (const char* home = std::getenv("MILLRACE_HOME"); home != nullptr && *home != '\0')
    return Store(fs::absolute(home).string());
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data != '\0')
    return Store((fs::path(data) / "millrace").string());
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return Store((fs::path(home) / ".local/share/millrace").string());
  }
  return Error(Code::kNotFound, "no place for the model store: set MILLRACE_HOME to a folder");
}

Result<StoreEntry> Store::Find(std::string_view alias) const {
  if (!IsAlias(alias)) return NoAlias(alias);
  const fs::path path = fs::path(root_) / "models" / (std::string(alias) + ".toml");
  std::error_code ec;
  if (fs::exists(path, ec)) return ReadEntry(path);
  std::vector<Status> damaged;  // others' troubles
  ASSIGN_OR_RETURN(const auto entries, List(&damaged));
  std::string known;
  for (const auto& entry : entries) known += (known.empty() ? "" : ", ") + entry.alias;
  return Error(Code::kNotFound,
               "no model '{}' in the store ({} has: {}). Name a .gguf file or a directory (./NAME), or add one: millrace add "
               "FILE --alias {}",
               alias, root_, known.empty() ? "nothing" : known, alias);
}

Result<std::vector<StoreEntry>> Store::List(std::vector<Status>* damaged) const {
  std::vector<StoreEntry> entries;
  std::error_code ec;
  const fs::path folder = fs::path(root_) / "models";
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
    if (it->path().extension() != ".toml") continue;
    auto entry = ReadEntry(it->path());
    if (entry.ok()) {
      entries.push_back(*std::move(entry));
    } else if (damaged == nullptr) {
      return entry.status();
    } else {
      damaged->push_back(entry.status());
    }
  }
  if (ec && ec != std::errc::no_such_file_or_directory) return FileError(folder, ec);
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.alias < b.alias; });
  return entries;
}

Status Store::MakeFolders() const {
  std::error_code ec;
  for (const char* folder : {"models", "files"}) {
    fs::create_directories(fs::path(root_) / folder, ec);
    if (ec) return FileError(fs::path(root_) / folder, ec);
  }
  return {};
}

Result<StoreEntry> Store::AddDirectory(StoreEntry entry) {
  if (!IsAlias(entry.alias)) return NoAlias(entry.alias);
  RETURN_IF_ERROR(MakeFolders());
  RETURN_IF_ERROR(WriteEntry(fs::path(root_) / "models" / (entry.alias + ".toml"), entry, entry.file));
  return entry;
}

Result<StoreEntry> Store::Add(StoreEntry entry, const Progress& progress) {
  if (!IsAlias(entry.alias)) return NoAlias(entry.alias);
  std::error_code ec;
  RETURN_IF_ERROR(CheckModelPath(entry.file));
  ASSIGN_OR_RETURN(const std::string found, Sha256OfFile(entry.file, nullptr));
  if (!entry.sha256.empty() && LowerCase(entry.sha256) != found) {
    return Error(Code::kDataLoss, "{}: expected SHA-256 {}, found {}: download it again", entry.file, entry.sha256, found);
  }
  entry.sha256 = found;
  entry.bytes = fs::file_size(entry.file, ec);
  const std::string relative = "files/sha256-" + found + ".gguf";
  const fs::path target = fs::path(root_) / relative;
  RETURN_IF_ERROR(MakeFolders());
  // What lies there may have been damaged since: its name tells what it should be.
  const auto there = Sha256OfFile(target.string(), nullptr);
  if (!there.ok() || *there != found) RETURN_IF_ERROR(CopyFile(entry.file, target, found, progress));
  RETURN_IF_ERROR(WriteEntry(fs::path(root_) / "models" / (entry.alias + ".toml"), entry, relative));
  entry.file = target.string();
  return entry;
}

Status CheckModelPath(const std::string& path) {
  std::error_code ec;
  if (!fs::exists(path, ec)) return Error(Code::kNotFound, "{}: no such file or directory", path);
  if (!fs::is_directory(path, ec) && !fs::is_regular_file(path, ec)) {
    return Error(Code::kInvalidArgument, "{}: expected a regular file or a directory", path);
  }
  return {};
}

Result<StoreEntry> ResolveModel(std::string_view name) {
  const fs::path path{std::string(name)};
  std::error_code ec;
  const bool looks_like_path = name.find('/') != std::string_view::npos || path.extension() == ".gguf" ||
                               path.filename() == model::kConfigFile || path.filename() == model::kTokenizerFile || name == "." ||
                               name == "..";
  if (looks_like_path) {
    RETURN_IF_ERROR(CheckModelPath(path.string()));
    StoreEntry entry;
    entry.alias = model::ModelNameOf(name);
    entry.file = fs::absolute(path).lexically_normal().string();
    if (entry.file.size() > 1 && entry.file.ends_with('/')) entry.file.pop_back();
    if (fs::is_regular_file(path, ec)) entry.bytes = fs::file_size(path, ec);
    return entry;
  }
  ASSIGN_OR_RETURN(const Store store, Store::Default());
  return store.Find(name);
}

}  // namespace millrace::cmd
