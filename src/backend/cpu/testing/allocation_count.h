// How often the program has called operator new. Only where allocation_count.cc is linked in, which replaces it.
#pragma once

#include <cstdint>

namespace millrace::backend_cpu::testing {

uint64_t AllocationCount();

}  // namespace millrace::backend_cpu::testing
