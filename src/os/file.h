// Opening files that strangers may have named or written. Only regular files are accepted: a device, FIFO or directory under a
// model's name is refused before a byte is read, and opening never blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"
#include "os/fd.h"

namespace millrace {

// Which bytes a path meant at the time of opening. Equal identities: the same unchanged file, as far as the file system can tell.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size_bytes = 0;
  int64_t mtime_ns = 0;
  int64_t ctime_ns = 0;

  bool operator==(const FileIdentity&) const = default;
};

struct RegularFile {
  UniqueFd fd;  // read-only, close-on-exec
  FileIdentity identity;
};

// kNotFound, kInvalidArgument (not a regular file, no permission), ...; the message names the path. Symbolic links are followed.
Result<RegularFile> OpenRegularFile(const std::string& path);

// kInvalidArgument when `fd` is not a regular file.
Result<FileIdentity> IdentifyFile(int fd);

// The whole file, or kResourceExhausted when it is larger than `max_bytes` (checked before anything is allocated).
Result<std::string> ReadSmallFile(const std::string& path, size_t max_bytes);

// Files of /proc and /sys say size 0: reads until the end or until `max_bytes`. Empty when the file cannot be read.
std::string ReadKernelFile(const std::string& path, size_t max_bytes = size_t{64} << 10);

}  // namespace millrace
