// A directory that appears whole or not at all: files are made in PATH.partial, which Commit renames to PATH.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"
#include "os/fd.h"

namespace millrace {

// Bytes that the file system of `path` (which need not exist; its parent does) still has for us.
Result<uint64_t> FreeDiskBytes(const std::string& path);

// Movable. Not thread-safe.
class OutputDirectory {
 public:
  // kAlreadyExists when `path` or the partial directory is there, kNotFound without its parent.
  static Result<OutputDirectory> Create(const std::string& path);

  OutputDirectory(OutputDirectory&& other) noexcept;
  OutputDirectory& operator=(OutputDirectory&&) = delete;
  ~OutputDirectory();  // removes everything, unless committed

  // New and empty, for writing. A name may lie in a folder, which is made where it is missing.
  Result<UniqueFd> CreateFile(const std::string& name);
  Status WriteFile(const std::string& name, std::span<const std::byte> bytes);
  // After the last file is closed: makes the directory visible under its name, on disk.
  Status Commit();

 private:
  explicit OutputDirectory(std::string path);

  std::string path_;
  std::string partial_;  // empty: nothing to remove
};

// All of `bytes`, behind what the file holds.
Status AppendToFile(int fd, std::span<const std::byte> bytes);
// Makes sure that what was written survives a loss of power.
Status FlushFile(int fd);

}  // namespace millrace
