#include "os/cpu.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include "os/cgroup.h"
#include "os/file.h"
#include "os/kernel_text.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#elif defined(__APPLE__)
#include <mach/mach.h>
#include <sys/sysctl.h>
#endif

namespace millrace {

namespace {

#if defined(__x86_64__)

struct CpuidLeaf {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

CpuidLeaf Cpuid(unsigned leaf, unsigned subleaf) {
  CpuidLeaf out;
  if (__get_cpuid_count(leaf, subleaf, &out.a, &out.b, &out.c, &out.d) == 0) return {};
  return out;
}

// Which register states the operating system saves (XCR0). Callable only where the OSXSAVE bit is set.
uint64_t SavedStates() {
  unsigned low = 0;
  unsigned high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

constexpr bool Bit(unsigned word, int bit) { return ((word >> bit) & 1U) != 0; }

IsaFeatures DetectIsa() {
  IsaFeatures isa;
  const CpuidLeaf one = Cpuid(1, 0);
  const CpuidLeaf seven = Cpuid(7, 0);
  const CpuidLeaf seven_one = seven.a >= 1 ? Cpuid(7, 1) : CpuidLeaf{};
  if (!Bit(one.c, 27)) return isa;  // OSXSAVE
  const uint64_t states = SavedStates();
  const bool ymm = (states & 0x6) == 0x6;
  const bool zmm = (states & 0xE6) == 0xE6;
  const bool tiles = (states & 0x60000) == 0x60000;
  isa.avx2 = ymm && Bit(one.c, 28) && Bit(one.c, 12) && Bit(one.c, 29) && Bit(seven.b, 5);  // AVX, FMA, F16C, AVX2
  isa.avx_vnni = isa.avx2 && Bit(seven_one.a, 4);
  isa.avx512 =
      isa.avx2 && zmm && Bit(seven.b, 16) && Bit(seven.b, 17) && Bit(seven.b, 28) && Bit(seven.b, 30) && Bit(seven.b, 31);
  isa.avx512_vnni = isa.avx512 && Bit(seven.c, 11);
  isa.avx512_bf16 = isa.avx512 && Bit(seven_one.a, 5);
  isa.amx_int8 = isa.avx512 && tiles && Bit(seven.d, 24) && Bit(seven.d, 25);
  return isa;
}

#elif defined(__aarch64__) && defined(__linux__)

IsaFeatures DetectIsa() {
  IsaFeatures isa;
  isa.neon = true;
  isa.dotprod = (::getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  isa.i8mm = (::getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
  return isa;
}

#elif defined(__APPLE__)

bool SysctlFlag(const char* name) {
  int value = 0;
  size_t size = sizeof(value);
  return ::sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}

IsaFeatures DetectIsa() {
  IsaFeatures isa;
  isa.neon = true;
  isa.dotprod = SysctlFlag("hw.optional.arm.FEAT_DotProd");
  isa.i8mm = SysctlFlag("hw.optional.arm.FEAT_I8MM");
  return isa;
}

#else
IsaFeatures DetectIsa() { return {}; }
#endif

#if defined(__linux__)

std::string Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\n:");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1));
}

std::string CpuFolder(int cpu) { return fmt::format("/sys/devices/system/cpu/cpu{}", cpu); }

// (package, core) of a logical CPU; a number of its own where the kernel does not tell.
std::pair<uint64_t, uint64_t> CoreOf(int cpu) {
  const std::string topology = CpuFolder(cpu) + "/topology/";
  const auto package = LeadingNumber(ReadKernelFile(topology + "physical_package_id"));
  const auto core = LeadingNumber(ReadKernelFile(topology + "core_id"));
  if (!core) return {~uint64_t{0}, static_cast<uint64_t>(cpu)};
  return {package.value_or(0), *core};
}

// "48K", "2048K", "32M"
size_t ParseCacheSize(const std::string& text) {
  const uint64_t number = LeadingNumber(text).value_or(0);
  if (number > (uint64_t{1} << 30)) return 0;
  if (text.find('K') != std::string::npos) return number << 10;
  if (text.find('M') != std::string::npos) return number << 20;
  return number;
}

CacheBytes ReadCaches(int cpu) {
  CacheBytes cache;
  for (int index = 0; index < 8; ++index) {
    const std::string folder = fmt::format("{}/cache/index{}/", CpuFolder(cpu), index);
    const std::string type = Trimmed(ReadKernelFile(folder + "type"));
    if (type.empty()) break;
    if (type == "Instruction") continue;
    const size_t bytes = ParseCacheSize(ReadKernelFile(folder + "size"));
    switch (LeadingNumber(ReadKernelFile(folder + "level")).value_or(0)) {
      case 1:
        cache.l1_data = bytes;
        break;
      case 2:
        cache.l2 = bytes;
        break;
      case 3:
        cache.l3 = bytes;
        break;
      default:
        break;
    }
  }
  return cache;
}

std::string ReadModelName() {
  const std::string text = ReadKernelFile("/proc/cpuinfo", size_t{1} << 20);
  for (const std::string_view key : {"model name", "Model", "Hardware"}) {
    if (const auto rest = AfterKey(text, key)) {
      if (std::string name = Trimmed(*rest); !name.empty()) return name;
    }
  }
  return "unknown processor";
}

// CPUs that the scheduler may run us on. The mask grows until the kernel's fits.
std::vector<int> AllowedCpus() {
  for (int capacity = 1024; capacity <= (1 << 16); capacity *= 4) {
    cpu_set_t* const set = CPU_ALLOC(static_cast<size_t>(capacity));
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(capacity));
    CPU_ZERO_S(bytes, set);
    const bool ok = ::sched_getaffinity(0, bytes, set) == 0;
    std::vector<int> cpus;
    for (int cpu = 0; ok && cpu < capacity; ++cpu) {
      if (CPU_ISSET_S(static_cast<size_t>(cpu), bytes, set)) cpus.push_back(cpu);
    }
    CPU_FREE(set);
    if (!cpus.empty()) return cpus;
  }
  return {0};
}

CpuInfo Inspect() {
  CpuInfo info;
  info.model = ReadModelName();
  info.isa = DetectIsa();
  info.logical = std::max(1, static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)));
  std::set<std::pair<uint64_t, uint64_t>> all_cores;
  for (int cpu = 0; cpu < info.logical; ++cpu) all_cores.insert(CoreOf(cpu));
  info.physical = static_cast<int>(all_cores.size());

  const std::vector<int> allowed = AllowedCpus();
  std::set<std::pair<uint64_t, uint64_t>> cores;
  for (const int cpu : allowed) cores.insert(CoreOf(cpu));
  info.usable = static_cast<int>(allowed.size());
  if (const double quota = OwnCgroupLimits().cpus; quota > 0) {
    info.usable = std::clamp(static_cast<int>(std::ceil(std::min(quota, 65536.0))), 1, info.usable);
  }
  info.usable_physical = std::min(static_cast<int>(cores.size()), info.usable);
  info.cache = ReadCaches(allowed.front());
  return info;
}

#elif defined(__APPLE__)

uint64_t SysctlNumber(const char* name) {
  uint64_t value = 0;  // little endian: a 32-bit answer fills the low half
  size_t size = sizeof(value);
  return ::sysctlbyname(name, &value, &size, nullptr, 0) == 0 ? value : 0;
}

CpuInfo Inspect() {
  CpuInfo info;
  std::array<char, 256> name{};
  size_t size = name.size() - 1;
  info.model = ::sysctlbyname("machdep.cpu.brand_string", name.data(), &size, nullptr, 0) == 0 ? name.data() : "Apple processor";
  info.isa = DetectIsa();
  info.logical = std::max(1, static_cast<int>(SysctlNumber("hw.logicalcpu")));
  info.physical = std::max(1, static_cast<int>(SysctlNumber("hw.physicalcpu")));
  info.usable = info.logical;
  // Efficiency cores slow a parallel section down to their own pace: level 0 is the fast ones.
  const int fast = static_cast<int>(SysctlNumber("hw.perflevel0.physicalcpu"));
  info.usable_physical = fast > 0 ? fast : info.physical;
  info.cache.l1_data = SysctlNumber("hw.perflevel0.l1dcachesize");
  info.cache.l2 = SysctlNumber("hw.perflevel0.l2cachesize");
  return info;
}

#endif

// RLIMIT_AS minus the address space in use; no value when there is no such limit.
std::optional<uint64_t> AddressSpaceLeft() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  uint64_t used = 0;
#if defined(__linux__)
  used = LeadingNumber(ReadKernelFile("/proc/self/statm")).value_or(0) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
#endif
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

}  // namespace

std::string_view IsaName(const IsaFeatures& features) {
  if (features.amx_int8) return "amx";
  if (features.avx512_vnni) return "avx512vnni";
  if (features.avx512) return "avx512";
  if (features.avx_vnni) return "avxvnni";
  if (features.avx2) return "avx2";
  if (features.i8mm) return "i8mm";
  if (features.dotprod) return "dotprod";
  if (features.neon) return "neon";
  return "scalar";
}

const CpuInfo& GetCpu() {
  static const CpuInfo info = Inspect();
  return info;
}

std::vector<int> UsableCpus() {
#if defined(__linux__)
  std::set<std::pair<uint64_t, uint64_t>> seen;
  std::vector<int> first;
  std::vector<int> siblings;
  for (const int cpu : AllowedCpus()) (seen.insert(CoreOf(cpu)).second ? first : siblings).push_back(cpu);
  first.insert(first.end(), siblings.begin(), siblings.end());
  return first;
#else
  return {};
#endif
}

bool RequestAmx() {
#if defined(__linux__) && defined(__x86_64__)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return GetCpu().isa.amx_int8 && ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

LoadSample SampleLoad() {
  LoadSample sample;
  double averages[1] = {0};
  if (::getloadavg(averages, 1) == 1) sample.load_1min = averages[0];
#if defined(__linux__)
  // "cpu  user nice system idle iowait irq softirq steal guest guest_nice"; guest time is contained in user and nice.
  const std::string text = ReadKernelFile("/proc/stat", 4096);
  std::string_view rest = AfterKey(text, "cpu ").value_or("");
  for (int field = 0; field < 8; ++field) {
    const size_t begin = rest.find_first_of("0123456789");
    if (begin == std::string_view::npos) break;
    rest = rest.substr(begin);
    const uint64_t ticks = LeadingNumber(rest).value_or(0);
    sample.total_ticks += ticks;
    if (field == 7) sample.steal_ticks = ticks;
    rest = rest.substr(std::min(rest.find_first_not_of("0123456789"), rest.size()));
  }
#endif
  return sample;
}

double StealShare(const LoadSample& before, const LoadSample& after) {
  if (after.total_ticks <= before.total_ticks || after.steal_ticks < before.steal_ticks) return 0;
  return static_cast<double>(after.steal_ticks - before.steal_ticks) /
         static_cast<double>(after.total_ticks - before.total_ticks);
}

MemoryBudget AvailableMemory() {
  MemoryBudget budget;
#if defined(__linux__)
  const std::string meminfo = ReadKernelFile("/proc/meminfo");
  budget = {NumberAfterKey(meminfo, "MemAvailable:").value_or(0) * 1024, "MemAvailable"};
  if (const uint64_t group = OwnCgroupLimits().memory_available_bytes; group < budget.available_bytes) budget = {group, "cgroup"};
#elif defined(__APPLE__)
  // Free, inactive and purgeable pages are what the system gives out before it compresses.
  vm_statistics64_data_t stats{};
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  if (::host_statistics64(::mach_host_self(), HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&stats), &count) == KERN_SUCCESS) {
    const uint64_t pages = uint64_t{stats.free_count} + stats.inactive_count + stats.purgeable_count;
    budget = {pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)), "physical memory"};
  }
#endif
  if (const auto left = AddressSpaceLeft(); left && *left < budget.available_bytes) budget = {*left, "RLIMIT_AS"};
  return budget;
}

uint64_t ResidentBytes() {
#if defined(__linux__)
  return NumberAfterKey(ReadKernelFile("/proc/self/status"), "VmRSS:").value_or(0) * 1024;
#elif defined(__APPLE__)
  mach_task_basic_info_data_t info{};
  mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
  if (::task_info(::mach_task_self(), MACH_TASK_BASIC_INFO, reinterpret_cast<task_info_t>(&info), &count) != KERN_SUCCESS)
    return 0;
  return info.resident_size;
#else
  return 0;
#endif
}

}  // namespace millrace
