// Requests come from outside: every id and number is checked before the engine uses it as an index or a divisor.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "engine/sequence.h"

namespace millrace::engine {

// kInvalidArgument naming the field, what was expected and what came.
Status CheckRequest(const Request& request, uint32_t vocab);

}  // namespace millrace::engine
