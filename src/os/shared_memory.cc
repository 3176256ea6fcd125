#include "os/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "os/os_error.h"
#include "os/random.h"

namespace millrace {

namespace {

#if defined(__linux__)
constexpr int kNeededSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Result<UniqueFd> CreateUnnamed(size_t bytes) {
  UniqueFd fd(::memfd_create("millrace", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return OsError(errno, "memfd_create");
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return OsError(errno, "size a shared segment");
  if (::fcntl(fd.get(), F_ADD_SEALS, kNeededSeals) != 0) return OsError(errno, "seal a shared segment");
  return fd;
}

Status CheckSeals(int fd) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0) return Error(Code::kDataLoss, "expected a sealed memory segment, found a descriptor without seals");
  if ((seals & kNeededSeals) != kNeededSeals) {
    return Error(Code::kDataLoss, "expected a segment sealed against resizing (seals {:#x}), found {:#x}", kNeededSeals, seals);
  }
  return {};
}
#else
Result<UniqueFd> CreateUnnamed(size_t bytes) {
  // At most 31 bytes on macOS. The name exists only between these two calls.
  const std::string name = fmt::format("/mr.{:016x}", RandomU64());
  UniqueFd fd(::shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600));
  if (!fd.valid()) return OsError(errno, "shm_open");
  ::shm_unlink(name.c_str());
  RETURN_IF_ERROR(SetCloseOnExec(fd.get(), true));
  // macOS allows ftruncate on such an object once only, which takes the place of a seal.
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return OsError(errno, "size a shared segment");
  return fd;
}

Status CheckSeals(int) { return {}; }
#endif

// macOS rounds the size of a segment up to whole pages.
size_t SizeOnThisSystem(size_t bytes) {
#if defined(__APPLE__)
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
#else
  return bytes;
#endif
}

}  // namespace

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : fd_(std::move(other.fd_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

SharedMemory::~SharedMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<SharedMemory> SharedMemory::MapShared(UniqueFd fd, size_t bytes) {
  void* const address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (address == MAP_FAILED) return OsError(errno, fmt::format("map a shared segment of {} bytes", bytes));
  SharedMemory memory;
  memory.fd_ = std::move(fd);
  memory.data_ = static_cast<std::byte*>(address);
  memory.size_ = bytes;
  return memory;
}

Result<SharedMemory> SharedMemory::Create(size_t bytes) {
  if (bytes == 0) return Error(Code::kInvalidArgument, "a shared segment of 0 bytes was asked for");
  ASSIGN_OR_RETURN(UniqueFd fd, CreateUnnamed(bytes));
  return MapShared(std::move(fd), bytes);
}

Result<SharedMemory> SharedMemory::Open(UniqueFd fd, size_t expected_bytes) {
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) return OsError(errno, "stat of a shared segment");
  RETURN_IF_ERROR(CheckSeals(fd.get()));
  if (info.st_size < 0 || static_cast<size_t>(info.st_size) != SizeOnThisSystem(expected_bytes)) {
    return Error(Code::kDataLoss, "expected a shared segment of {} bytes, found {}", expected_bytes, info.st_size);
  }
  return MapShared(std::move(fd), expected_bytes);
}

}  // namespace millrace
