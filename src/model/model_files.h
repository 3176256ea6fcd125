// Opening the files of a model: one GGUF file, or a directory (or the path of its config.json) in the manner of Hugging Face and MLX. The
// gateway opens; a worker gets the names and descriptors and only maps.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "model/named_file.h"
#include "os/file.h"
#include "os/mapping.h"

namespace millrace::model {

// What one message over a socket can carry as descriptors, with room for others. Real models have up to 170 shards.
inline constexpr size_t kMaxModelFiles = 240;
inline constexpr size_t kMaxModelFileName = 255;
inline constexpr size_t kMaxModelFileNames = 12'000;  // bytes of all names

// Mappings of all files of a model. Movable; what files() gives stays valid.
class MappedModelFiles {
 public:
  // Maps the regular files behind `fds`, which stay the caller's. Errors name the file.
  static Result<MappedModelFiles> Map(std::span<const std::string> names, std::span<const int> fds);

  MappedModelFiles(MappedModelFiles&&) = default;
  MappedModelFiles& operator=(MappedModelFiles&&) = default;

  std::span<const NamedFile> files() const { return files_; }
  uint64_t bytes() const;
  void WillNeed() const;  // reads ahead; a hint

 private:
  MappedModelFiles() = default;
  std::unique_ptr<const std::vector<std::string>> names_;
  std::vector<FileMapping> mappings_;
  std::vector<NamedFile> files_;  // views of the two
};

// Movable; immutable after Open.
class OpenedModelFiles {
 public:
  // A directory's config.json, shards (of the index, else model.safetensors, else every *.safetensors) and text files; shards that are
  // missing are left to model/checkpoint.h to report. kNotFound, kInvalidArgument: no such file, not a regular file, nothing that is a
  // model, with the advice that fits; kResourceExhausted for more files than kMaxModelFiles. Messages begin with the path.
  static Result<OpenedModelFiles> Open(const std::string& path);

  OpenedModelFiles(OpenedModelFiles&&) = default;
  OpenedModelFiles& operator=(OpenedModelFiles&&) = default;

  const std::string& path() const { return path_; }  // the file, or the directory
  bool is_directory() const { return is_directory_; }
  std::span<const std::string> names() const { return names_; }  // without directory
  std::vector<int> fds() const;                                  // in the order of the names
  uint64_t bytes() const;
  Result<MappedModelFiles> Map() const;  // messages begin with the path

 private:
  OpenedModelFiles() = default;
  Status Add(const std::string& name, const std::string& path);
  Status AddDirectory();

  std::string path_;
  bool is_directory_ = false;
  std::vector<std::string> names_;
  std::vector<RegularFile> files_;
};

// What a model is called where nobody gave it a name: the file without its extension, or the directory.
std::string ModelNameOf(std::string_view path);

}  // namespace millrace::model
