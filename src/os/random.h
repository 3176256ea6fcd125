// Unpredictable bits from the operating system: incarnation numbers, nonces, default seeds. Never fails: without a source it
// aborts.
#pragma once

#include <cstdint>

namespace millrace {

uint64_t RandomU64();

}  // namespace millrace
