#include "os/thread.h"

#include <pthread.h>
#include <sched.h>

#include <string>

#include "os/os_error.h"

namespace millrace {

void SetThreadName(std::string_view name) {
  const std::string cut(name.substr(0, 15));
#if defined(__APPLE__)
  ::pthread_setname_np(cut.c_str());
#else
  ::pthread_setname_np(::pthread_self(), cut.c_str());
#endif
}

Status PinThread(int cpu) {
#if defined(__linux__)
  if (cpu < 0 || cpu >= CPU_SETSIZE) return Error(Code::kInvalidArgument, "there is no CPU {}", cpu);
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  const int error = ::pthread_setaffinity_np(::pthread_self(), sizeof(set), &set);
  if (error != 0) return OsError(error, fmt::format("pin a thread to CPU {}", cpu));
  return {};
#else
  return Error(Code::kUnsupported, "threads cannot be pinned to CPU {} on this system", cpu);
#endif
}

}  // namespace millrace
