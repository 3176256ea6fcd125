// In a file of its own: where the compiler sees both definitions beside their use it takes malloc and free for a mismatch.
#include "backend/cpu/testing/allocation_count.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<uint64_t> allocations{0};
}  // namespace

void* operator new(size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace millrace::backend_cpu::testing {

uint64_t AllocationCount() { return allocations.load(); }

}  // namespace millrace::backend_cpu::testing
