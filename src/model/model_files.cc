#include "model/model_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "base/check.h"
#include "model/checkpoint.h"
#include "weights/shown_text.h"

namespace millrace::model {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxIndexBytes = size_t{64} << 20;
constexpr size_t kMaxDirectoryEntries = 10'000;

constexpr std::array<std::string_view, 8> kTextFiles = {kConfigFile,          kIndexFile,         kTokenizerFile,
                                                        kTokenizerConfigFile, kSpecialTokensFile, kGenerationConfigFile,
                                                        kTemplateFile,        kTemplateJsonFile};

// The names in a directory, sorted.
Result<std::vector<std::string>> List(const std::string& path) {
  std::vector<std::string> names;
  std::error_code ec;
  for (fs::directory_iterator it(path, ec), end; !ec && it != end; it.increment(ec)) {
    names.push_back(it->path().filename().string());
    if (names.size() > kMaxDirectoryEntries) {
      return Error(Code::kResourceExhausted, "{}: more than {} entries", path, kMaxDirectoryEntries);
    }
  }
  if (ec) return Error(Code::kInvalidArgument, "{}: {}", path, ec.message());
  std::sort(names.begin(), names.end());
  return names;
}

bool Holds(const std::vector<std::string>& names, std::string_view name) {
  return std::binary_search(names.begin(), names.end(), name);
}

// Why a directory is none of a model, as far as its names tell.
Status NotAModel(const std::string& path, const std::vector<std::string>& names, std::string_view lacks) {
  const auto ending = [&](std::initializer_list<std::string_view> suffixes) -> std::string {
    for (const std::string& name : names) {
      for (const std::string_view suffix : suffixes) {
        if (name.ends_with(suffix)) return name;
      }
    }
    return {};
  };
  if (names.empty()) return Error(Code::kNotFound, "{}: an empty directory, expected config.json and *.safetensors", path);
  if (const std::string gguf = ending({".gguf"}); !gguf.empty()) {
    return Error(Code::kNotFound, "{}: no {} in this directory, but {}: name that file", path, lacks, gguf);
  }
  if (const std::string pickle = ending({".bin", ".pt", ".pth"}); !pickle.empty()) {
    return Error(Code::kUnsupported,
                 "{}: no {} in this directory, but {}, which this build does not read: take the safetensors files", path, lacks,
                 pickle);
  }
  return Error(Code::kNotFound, "{}: no {} in this directory", path, lacks);
}

Result<std::vector<std::string>> ShardsIn(const std::string& path, const std::vector<std::string>& names) {
  std::vector<std::string> shards;
  if (Holds(names, kIndexFile)) {
    ASSIGN_OR_RETURN(const std::string index, ReadSmallFile(path + "/" + std::string(kIndexFile), kMaxIndexBytes));
    auto named = ShardsOfIndex(index);
    if (!named.ok()) return named.status().Within(path);
    std::copy_if(named->begin(), named->end(), std::back_inserter(shards), [&](const auto& name) { return Holds(names, name); });
    return shards;
  }
  if (Holds(names, kSingleShard)) return std::vector<std::string>{std::string(kSingleShard)};
  std::copy_if(names.begin(), names.end(), std::back_inserter(shards),
               [](const std::string& name) { return name.ends_with(kShardSuffix) && !name.starts_with('.'); });
  if (shards.empty()) return NotAModel(path, names, "*.safetensors");
  return shards;
}

// What lies in the folder of further chat templates, by names that begin with it.
Result<std::vector<std::string>> TemplatesIn(const std::string& path) {
  const std::string folder = path + "/" + std::string(kTemplateFolder);
  std::error_code ec;
  if (!fs::is_directory(folder, ec)) return std::vector<std::string>();
  ASSIGN_OR_RETURN(const auto names, List(folder));
  std::vector<std::string> templates;
  for (const std::string& name : names) {
    if (name.ends_with(kTemplateSuffix) && !name.starts_with('.')) templates.push_back(std::string(kTemplateFolder) + name);
  }
  return templates;
}

}  // namespace

Result<MappedModelFiles> MappedModelFiles::Map(std::span<const std::string> names, std::span<const int> fds) {
  CHECK(names.size() == fds.size(), "every descriptor has a name");
  MappedModelFiles mapped;
  mapped.names_ = std::make_unique<const std::vector<std::string>>(names.begin(), names.end());
  for (size_t i = 0; i < fds.size(); ++i) {
    const auto identity = IdentifyFile(fds[i]);
    auto mapping = identity.ok() ? FileMapping::Map(fds[i], identity->size_bytes) : Result<FileMapping>(identity.status());
    if (!mapping.ok()) return mapping.status().Within(names[i]);
    mapped.files_.push_back({(*mapped.names_)[i], mapping->bytes()});
    mapped.mappings_.push_back(*std::move(mapping));
  }
  return mapped;
}

uint64_t MappedModelFiles::bytes() const {
  uint64_t sum = 0;
  for (const NamedFile& file : files_) sum += file.bytes.size();
  return sum;
}

void MappedModelFiles::WillNeed() const {
  for (const FileMapping& mapping : mappings_) mapping.WillNeed(0, mapping.bytes().size());
}

Result<OpenedModelFiles> OpenedModelFiles::Open(const std::string& path) {
  OpenedModelFiles opened;
  const fs::path given(path);
  std::error_code ec;
  opened.is_directory_ = fs::is_directory(given, ec);
  opened.path_ = path;
  if (given.filename() == kConfigFile) {
    opened.is_directory_ = true;
    opened.path_ = given.has_parent_path() ? given.parent_path().string() : std::string(".");
  }
  if (opened.is_directory_) {
    RETURN_IF_ERROR(opened.AddDirectory());
    return opened;
  }
  if (given.extension() == kShardSuffix && fs::exists(given, ec)) {
    return Error(Code::kInvalidArgument, "{}: one part of a model: name the directory with its config.json", path);
  }
  // The name is for messages between processes: one that is not fit for them does not matter here.
  const std::string name = given.filename().string();
  RETURN_IF_ERROR(opened.Add(weights::IsPlainName(name) ? name : std::string("model.gguf"), path));
  return opened;
}

Status OpenedModelFiles::Add(const std::string& name, const std::string& path) {
  if (names_.size() == kMaxModelFiles) {
    return Error(Code::kResourceExhausted, "{}: more than {} files of one model", path_, kMaxModelFiles);
  }
  if (name.size() > kMaxModelFileName || !weights::IsPlainName(name)) {
    return Error(Code::kInvalidArgument, "{}/{}: expected a name of at most {} bytes without control characters", path_,
                 weights::ShownText(name), kMaxModelFileName);
  }
  ASSIGN_OR_RETURN(RegularFile file, OpenRegularFile(path));
  names_.push_back(name);
  files_.push_back(std::move(file));
  return {};
}

Status OpenedModelFiles::AddDirectory() {
  ASSIGN_OR_RETURN(const auto present, List(path_));
  if (!Holds(present, kConfigFile)) return NotAModel(path_, present, kConfigFile);
  ASSIGN_OR_RETURN(std::vector<std::string> wanted, ShardsIn(path_, present));
  for (const std::string_view name : kTextFiles) {
    if (Holds(present, name)) wanted.emplace_back(name);
  }
  ASSIGN_OR_RETURN(const auto templates, TemplatesIn(path_));
  wanted.insert(wanted.end(), templates.begin(), templates.end());
  size_t bytes = 0;
  for (const std::string& name : wanted) bytes += name.size();
  if (bytes > kMaxModelFileNames) {
    return Error(Code::kResourceExhausted, "{}: file names of {} bytes in all, expected at most {}", path_, bytes,
                 kMaxModelFileNames);
  }
  for (const std::string& name : wanted) RETURN_IF_ERROR(Add(name, path_ + "/" + name));
  return {};
}

std::vector<int> OpenedModelFiles::fds() const {
  std::vector<int> fds;
  fds.reserve(files_.size());
  for (const RegularFile& file : files_) fds.push_back(file.fd.get());
  return fds;
}

uint64_t OpenedModelFiles::bytes() const {
  uint64_t sum = 0;
  for (const RegularFile& file : files_) sum += file.identity.size_bytes;
  return sum;
}

Result<MappedModelFiles> OpenedModelFiles::Map() const {
  auto mapped = MappedModelFiles::Map(names_, fds());
  if (!mapped.ok()) return mapped.status().Within(path_);
  return mapped;
}

std::string ModelNameOf(std::string_view path) {
  fs::path given{std::string(path)};
  std::error_code ec;
  given = fs::absolute(given, ec).lexically_normal();
  if (given.filename().empty()) given = given.parent_path();  // a path that ends with a slash
  if (given.filename() == kConfigFile) return given.parent_path().filename().string();
  return fs::is_directory(given, ec) ? given.filename().string() : given.stem().string();
}

}  // namespace millrace::model
