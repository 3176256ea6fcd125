#include "os/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "os/os_error.h"

namespace millrace {

namespace {

std::string_view KindName(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "not a regular file";
}

int64_t Nanoseconds(const timespec& time) { return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec; }

// Appends until end of file or `max_bytes`; returns errno or 0.
int ReadUpTo(int fd, size_t max_bytes, std::string& out) {
  std::array<char, 16384> buffer;
  while (out.size() < max_bytes) {
    const size_t want = std::min(buffer.size(), max_bytes - out.size());
    const ssize_t got = ::read(fd, buffer.data(), want);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return 0;
    out.append(buffer.data(), static_cast<size_t>(got));
  }
  return 0;
}

}  // namespace

Result<FileIdentity> IdentifyFile(int fd) {
  struct stat info;
  if (::fstat(fd, &info) != 0) return OsError(errno, "stat of an open file");
  if (!S_ISREG(info.st_mode)) return Error(Code::kInvalidArgument, "expected a regular file, found {}", KindName(info.st_mode));
  FileIdentity identity;
  identity.device = static_cast<uint64_t>(info.st_dev);
  identity.inode = static_cast<uint64_t>(info.st_ino);
  identity.size_bytes = static_cast<uint64_t>(info.st_size);
#if defined(__APPLE__)
  identity.mtime_ns = Nanoseconds(info.st_mtimespec);
  identity.ctime_ns = Nanoseconds(info.st_ctimespec);
#else
  identity.mtime_ns = Nanoseconds(info.st_mtim);
  identity.ctime_ns = Nanoseconds(info.st_ctim);
#endif
  return identity;
}

Result<RegularFile> OpenRegularFile(const std::string& path) {
  if (path.find('\0') != std::string::npos) return Error(Code::kInvalidArgument, "a path holds a zero byte");
  // O_NONBLOCK: opening a FIFO without a writer would wait for one; regular files ignore it.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return OsError(errno, fmt::format("open '{}'", path));
  Result<FileIdentity> identity = IdentifyFile(fd.get());
  if (!identity.ok()) return identity.status().Within(fmt::format("open '{}'", path));
  return RegularFile{std::move(fd), *identity};
}

Result<std::string> ReadSmallFile(const std::string& path, size_t max_bytes) {
  ASSIGN_OR_RETURN(const RegularFile file, OpenRegularFile(path));
  if (file.identity.size_bytes > max_bytes) {
    return Error(Code::kResourceExhausted, "'{}' has {} bytes, at most {} are read", path, file.identity.size_bytes, max_bytes);
  }
  std::string text;
  text.reserve(static_cast<size_t>(file.identity.size_bytes));
  // One byte more than allowed tells a file that grew meanwhile from one that fits.
  if (const int error = ReadUpTo(file.fd.get(), max_bytes + 1, text); error != 0)
    return OsError(error, fmt::format("read '{}'", path));
  if (text.size() > max_bytes)
    return Error(Code::kResourceExhausted, "'{}' grew beyond {} bytes while it was read", path, max_bytes);
  return text;
}

std::string ReadKernelFile(const std::string& path, size_t max_bytes) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  if (fd.valid() && ReadUpTo(fd.get(), max_bytes, text) != 0) text.clear();
  return text;
}

}  // namespace millrace
