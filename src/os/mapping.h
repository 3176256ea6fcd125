// Memory that the operating system hands out by the page: read-only views of files, and large anonymous buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/status.h"

namespace millrace {

// A private read-only mapping of the first `size` bytes of a file. Movable; unmapped on destruction. Spans into it must not
// outlive it. If someone truncates the file meanwhile, reading beyond its new end raises SIGBUS: pin identity and size before
// trusting it.
class FileMapping {
 public:
  FileMapping() = default;
  FileMapping(FileMapping&& other) noexcept;
  FileMapping& operator=(FileMapping&& other) noexcept;
  ~FileMapping();

  // Maps the whole regular file behind `fd`, whose size must equal `expected_bytes` (what the caller saw when it opened the
  // file); kDataLoss otherwise. An empty file maps to an empty span. `fd` may be closed afterwards.
  static Result<FileMapping> Map(int fd, uint64_t expected_bytes);

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Reads ahead [offset, offset + size) in the background; a hint, clamped to the mapping.
  void WillNeed(size_t offset, size_t size) const;
  // Lets the kernel drop the pages of the range; they are read again when touched. Used after weights were repacked.
  void DontNeed(size_t offset, size_t size) const;

 private:
  FileMapping(const std::byte* data, size_t size) : data_(data), size_(size) {}
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Zeroed anonymous memory aligned to 2 MiB, which the system is asked to back with 2 MiB pages. Movable.
class HugeBuffer {
 public:
  static constexpr size_t kAlignment = size_t{2} << 20;

  HugeBuffer() = default;
  HugeBuffer(HugeBuffer&& other) noexcept;
  HugeBuffer& operator=(HugeBuffer&& other) noexcept;
  ~HugeBuffer();

  // kInvalidArgument for 0 bytes, kResourceExhausted when the address space or memory is not to be had. Falls back to normal
  // pages by itself: `huge_pages_requested()` tells. Pages are committed when first written.
  static Result<HugeBuffer> Allocate(size_t bytes);

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }  // as asked for
  std::span<std::byte> bytes() { return {data_, size_}; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Whether the system accepted the request for huge pages (transparent huge pages are not switched off).
  bool huge_pages_requested() const { return huge_pages_requested_; }
  // How much really is in huge pages now, by the kernel's own count (Linux; 0 elsewhere). Slow: reads /proc.
  size_t CountHugeBytes() const;

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  size_t mapped_bytes_ = 0;
  bool huge_pages_requested_ = false;
};

}  // namespace millrace
