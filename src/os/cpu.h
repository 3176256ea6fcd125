// What this machine offers: processor, instruction sets, caches, how much of it we may use, and how busy it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace millrace {

// What both the processor and the operating system support (vector state is saved on context switches). All false on other
// families.
struct IsaFeatures {
  bool avx2 = false;      // AVX2 with FMA and F16C
  bool avx_vnni = false;  // 256-bit VPDPBUSD, VEX encoded
  bool avx512 = false;    // F, BW, DQ, VL, CD
  bool avx512_vnni = false;
  bool avx512_bf16 = false;
  bool amx_int8 = false;  // tile state permission must still be asked for, see RequestAmx
  bool neon = false;
  bool dotprod = false;  // SDOT, UDOT
  bool i8mm = false;     // SMMLA

  bool operator==(const IsaFeatures&) const = default;
};

// The widest step of the ladder that is supported: "amx", "avx512vnni", "avx512", "avxvnni", "avx2", "i8mm", "dotprod", "neon",
// "scalar".
std::string_view IsaName(const IsaFeatures& features);

struct CacheBytes {
  size_t l1_data = 0;  // per core; 0 = unknown
  size_t l2 = 0;       // per core or cluster
  size_t l3 = 0;       // of the whole package
};

struct CpuInfo {
  std::string model;        // "AMD EPYC ...", never empty
  int logical = 1;          // CPUs of the machine that are online
  int physical = 1;         // cores of the machine; equal to `logical` where hyper-threads are unknown
  int usable = 1;           // logical CPUs we may use: affinity, then the cgroup's quota, rounded up
  int usable_physical = 1;  // distinct cores among those; the sensible number of compute threads
  CacheBytes cache;
  IsaFeatures isa;
};

// Measured once, on the first call; thread-safe. Affinity is that of the calling thread then.
const CpuInfo& GetCpu();

// The logical CPUs that the calling thread may run on: one of every core first, then the hyper-threads beside them. For PinThread.
// Empty on macOS, where threads cannot be pinned.
std::vector<int> UsableCpus();

// Linux: asks for permission to use AMX tile state in this process. False where there is none.
bool RequestAmx();

struct LoadSample {
  double load_1min = 0;      // run queue length, averaged over a minute
  uint64_t steal_ticks = 0;  // time stolen by the hypervisor since boot, all CPUs; 0 where unknown
  uint64_t total_ticks = 0;  // all CPU time since boot in the same unit; 0 where unknown
};

LoadSample SampleLoad();

// Stolen share in [0, 1] of the CPU time between two samples; 0 where unknown.
double StealShare(const LoadSample& before, const LoadSample& after);

struct MemoryBudget {
  uint64_t available_bytes = 0;
  std::string_view limited_by;  // "MemAvailable", "cgroup", "RLIMIT_AS", "physical memory"
};

// How much more this process can use without pushing the machine or its cgroup over a limit: the least of MemAvailable,
// cgroup memory.max - memory.current (plus the inactive file cache, which the kernel gives back first), and RLIMIT_AS - address
// space.
MemoryBudget AvailableMemory();

// Resident memory of this process now; 0 where unknown.
uint64_t ResidentBytes();

}  // namespace millrace
