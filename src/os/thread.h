// Names and places of the calling thread.
#pragma once

#include <string_view>

#include "base/status.h"

namespace millrace {

// Shown by top and debuggers; cut to 15 bytes. Failure is of no consequence and not reported.
void SetThreadName(std::string_view name);

// Keeps the calling thread on one logical CPU. kUnsupported on macOS; kInvalidArgument when the CPU is not ours to use.
Status PinThread(int cpu);

}  // namespace millrace
