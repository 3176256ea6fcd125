#include "base/clock.h"

#include <chrono>

namespace millrace {

// steady_clock is CLOCK_MONOTONIC on Linux and mach time on macOS: one epoch for all processes since boot.
int64_t MonotonicNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace millrace
