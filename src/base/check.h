// CHECK: for our own bugs only, never for data. Prints the reason and aborts the process.
#pragma once

namespace millrace {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition, const char* reason);
}  // namespace millrace

#define CHECK(condition, reason)                                       \
  do {                                                                 \
    if (!(condition)) [[unlikely]]                                     \
      ::millrace::CheckFailed(__FILE__, __LINE__, #condition, reason); \
  } while (false)
