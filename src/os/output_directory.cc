#include "os/output_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "os/os_error.h"

namespace millrace {

namespace fs = std::filesystem;

namespace {

std::string WithoutEndingSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

Result<uint64_t> FreeDiskBytes(const std::string& path) {
  std::error_code ec;
  const fs::space_info space = fs::space(fs::absolute(WithoutEndingSlashes(path)).parent_path(), ec);
  if (ec) return OsError(ec.value(), "free space at '" + path + "'");
  return uint64_t{space.available};
}

OutputDirectory::OutputDirectory(std::string path) : path_(std::move(path)), partial_(path_ + ".partial") {}

OutputDirectory::OutputDirectory(OutputDirectory&& other) noexcept
    : path_(std::move(other.path_)), partial_(std::exchange(other.partial_, {})) {}

OutputDirectory::~OutputDirectory() {
  std::error_code ec;
  if (!partial_.empty()) fs::remove_all(partial_, ec);
}

Result<OutputDirectory> OutputDirectory::Create(const std::string& path) {
  std::string plain = WithoutEndingSlashes(path);
  std::error_code ec;
  if (fs::exists(fs::symlink_status(plain, ec))) return Error(Code::kAlreadyExists, "{}: exists already", plain);
  const std::string partial = plain + ".partial";
  if (::mkdir(partial.c_str(), 0777) != 0) {
    if (errno == EEXIST)
      return Error(Code::kAlreadyExists, "{}: in use, or left behind by a program that was killed: remove it", partial);
    return OsError(errno, "make directory '" + partial + "'");
  }
  return OutputDirectory(std::move(plain));
}

Result<UniqueFd> OutputDirectory::CreateFile(const std::string& name) {
  const std::string path = partial_ + "/" + name;
  std::error_code ec;
  if (name.find('/') != std::string::npos) fs::create_directories(fs::path(path).parent_path(), ec);
  if (ec) return OsError(ec.value(), "make the folder of '" + path + "'");
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return OsError(errno, "make '" + path + "'");
  return UniqueFd(fd);
}

Status OutputDirectory::WriteFile(const std::string& name, std::span<const std::byte> bytes) {
  ASSIGN_OR_RETURN(const UniqueFd fd, CreateFile(name));
  RETURN_IF_ERROR(AppendToFile(fd.get(), bytes).Within(partial_ + "/" + name));
  return FlushFile(fd.get());
}

Status OutputDirectory::Commit() {
  std::error_code ec;
  if (fs::exists(fs::symlink_status(path_, ec))) return Error(Code::kAlreadyExists, "{}: exists already", path_);
  if (::rename(partial_.c_str(), path_.c_str()) != 0) return OsError(errno, "rename '" + partial_ + "' to '" + path_ + "'");
  partial_.clear();
  const UniqueFd parent(::open(fs::absolute(path_).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return parent.valid() ? FlushFile(parent.get()) : Status();
}

Status AppendToFile(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno == ENOSPC ? Status(Code::kResourceExhausted, "write: the disk is full") : OsError(errno, "write");
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Status FlushFile(int fd) {
  // File systems without the notion say EINVAL.
  if (::fsync(fd) != 0 && errno != EINVAL) return OsError(errno, "fsync");
  return {};
}

}  // namespace millrace
