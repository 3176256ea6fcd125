#include "os/mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "base/checked.h"
#include "os/file.h"
#include "os/os_error.h"

namespace millrace {

namespace {

size_t PageBytes() {
  static const size_t bytes = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

// madvise over the pages that {offset, size} touches, clamped to the mapping.
void Advise(const std::byte* base, size_t total, std::pair<size_t, size_t> range, int advice) {
  const auto [offset, size] = range;
  if (offset >= total) return;
  const size_t page = PageBytes();
  const size_t end = offset + std::min(size, total - offset);
  const size_t begin = offset / page * page;
  // Advice is a hint: a kernel that refuses it changes nothing for the caller.
  (void)::madvise(const_cast<std::byte*>(base) + begin, end - begin, advice);
}

}  // namespace

FileMapping::FileMapping(FileMapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

FileMapping& FileMapping::operator=(FileMapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

FileMapping::~FileMapping() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

Result<FileMapping> FileMapping::Map(int fd, uint64_t expected_bytes) {
  ASSIGN_OR_RETURN(const FileIdentity identity, IdentifyFile(fd));
  if (identity.size_bytes != expected_bytes) {
    return Error(Code::kDataLoss, "the file changed its size: expected {} bytes, found {}", expected_bytes, identity.size_bytes);
  }
  if (expected_bytes == 0) return FileMapping();
  if (expected_bytes > std::numeric_limits<size_t>::max())
    return Error(Code::kResourceExhausted, "the file does not fit the address space");
  const size_t size = static_cast<size_t>(expected_bytes);
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED) return OsError(errno, fmt::format("map a file of {} bytes", size));
  return FileMapping(static_cast<const std::byte*>(address), size);
}

void FileMapping::WillNeed(size_t offset, size_t size) const { Advise(data_, size_, {offset, size}, MADV_WILLNEED); }

void FileMapping::DontNeed(size_t offset, size_t size) const { Advise(data_, size_, {offset, size}, MADV_DONTNEED); }

HugeBuffer::HugeBuffer(HugeBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_bytes_(std::exchange(other.mapped_bytes_, 0)),
      huge_pages_requested_(other.huge_pages_requested_) {}

HugeBuffer& HugeBuffer::operator=(HugeBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  std::swap(huge_pages_requested_, other.huge_pages_requested_);
  return *this;
}

HugeBuffer::~HugeBuffer() {
  if (data_ != nullptr) ::munmap(data_, mapped_bytes_);
}

Result<HugeBuffer> HugeBuffer::Allocate(size_t bytes) {
  if (bytes == 0) return Error(Code::kInvalidArgument, "a buffer of 0 bytes was asked for");
  const auto rounded = CheckedAlign(bytes, kAlignment);
  const auto with_slack = rounded ? CheckedAdd(*rounded, kAlignment) : std::nullopt;
  if (!with_slack) return Error(Code::kResourceExhausted, "a buffer of {} bytes does not fit the address space", bytes);
  void* const address = ::mmap(nullptr, *with_slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) return OsError(errno, fmt::format("allocate {} bytes", bytes));
  // mmap aligns to small pages: take 2 MiB more than needed and give back what lies before and after the aligned part.
  std::byte* const raw = static_cast<std::byte*>(address);
  const size_t misfit = reinterpret_cast<uintptr_t>(raw) % kAlignment;
  const size_t lead = misfit == 0 ? 0 : kAlignment - misfit;
  if (lead > 0) ::munmap(raw, lead);
  if (lead < kAlignment) ::munmap(raw + lead + *rounded, kAlignment - lead);

  HugeBuffer buffer;
  buffer.data_ = raw + lead;
  buffer.size_ = bytes;
  buffer.mapped_bytes_ = *rounded;
#if defined(__linux__)
  const bool never = ReadKernelFile("/sys/kernel/mm/transparent_hugepage/enabled").find("[never]") != std::string::npos;
  buffer.huge_pages_requested_ = ::madvise(buffer.data_, *rounded, MADV_HUGEPAGE) == 0 && !never;
#endif
  return buffer;
}

size_t HugeBuffer::CountHugeBytes() const {
  size_t total_kib = 0;
#if defined(__linux__)
  const std::string text = ReadKernelFile("/proc/self/smaps", size_t{16} << 20);
  const uintptr_t low = reinterpret_cast<uintptr_t>(data_);
  const uintptr_t high = low + mapped_bytes_;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line(text.data() + at, end - at);
    at = end + 1;
    uintptr_t begin = 0;
    const auto parsed = std::from_chars(line.data(), line.data() + line.size(), begin, 16);
    if (parsed.ec == std::errc() && parsed.ptr < line.data() + line.size() && *parsed.ptr == '-') {
      inside = begin >= low && begin < high;
    } else if (inside && line.starts_with("AnonHugePages:")) {
      const size_t digits = line.find_first_of("0123456789");
      size_t kib = 0;
      if (digits != std::string_view::npos) std::from_chars(line.data() + digits, line.data() + line.size(), kib);
      total_kib += kib;
    }
  }
#endif
  return total_kib * 1024;
}

}  // namespace millrace
