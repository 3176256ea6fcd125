// A segment of memory that two processes share through a descriptor. It never has a name that outlives the call that makes it,
// and its size can never change, so no peer can raise SIGBUS here by truncating it.
#pragma once

#include <cstddef>
#include <span>

#include "base/status.h"
#include "os/fd.h"

namespace millrace {

class SharedMemory {
 public:
  SharedMemory() = default;
  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&& other) noexcept;
  ~SharedMemory();

  // Linux: a memfd sealed against shrinking, growing and further seals. macOS: shm_open under a random name, unlinked at once.
  // Zeroed, mapped for reading and writing.
  static Result<SharedMemory> Create(size_t bytes);

  // Maps a segment that came from a peer. kDataLoss unless its size is exactly `expected_bytes` and (Linux) its seals forbid
  // changing it.
  static Result<SharedMemory> Open(UniqueFd fd, size_t expected_bytes);

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  std::span<std::byte> bytes() const { return {data_, size_}; }
  int fd() const { return fd_.get(); }

 private:
  static Result<SharedMemory> MapShared(UniqueFd fd, size_t bytes);

  UniqueFd fd_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace millrace
