// The one monotonic clock that messages carry; comparable between processes of one machine.
#pragma once

#include <cstdint>

namespace millrace {

int64_t MonotonicNs();

}  // namespace millrace
