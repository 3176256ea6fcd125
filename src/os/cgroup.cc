#include "os/cgroup.h"

#include <algorithm>
#include <optional>

#include "os/file.h"
#include "os/kernel_text.h"

namespace millrace {

namespace {

// Where one version keeps its numbers.
struct MemoryFiles {
  std::string_view limit;
  std::string_view use;
  std::string_view inactive_key;
};
constexpr MemoryFiles kVersion2{"/memory.max", "/memory.current", "inactive_file "};
constexpr MemoryFiles kVersion1{"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file "};

std::string Join(const std::string& folder, std::string_view name) { return folder + std::string(name); }

uint64_t MemoryAvailableIn(const std::string& folder, const MemoryFiles& files) {
  const auto limit = LeadingNumber(ReadKernelFile(Join(folder, files.limit)));  // "max" is no number: no limit
  const auto use = LeadingNumber(ReadKernelFile(Join(folder, files.use)));
  if (!limit || !use || *limit >= (uint64_t{1} << 60)) return CgroupLimits::kUnlimited;
  const std::string stat = ReadKernelFile(folder + "/memory.stat");
  const uint64_t reclaimable = std::min(NumberAfterKey(stat, files.inactive_key).value_or(0), *use);
  const uint64_t pinned = *use - reclaimable;
  return *limit > pinned ? *limit - pinned : 0;
}

double QuotaVersion2(const std::string& folder) {
  const std::string text = ReadKernelFile(folder + "/cpu.max");  // "200000 100000" or "max 100000"
  const auto quota = LeadingNumber(text);
  const size_t space = text.find(' ');
  const auto period = space == std::string::npos ? std::nullopt : LeadingNumber(std::string_view(text).substr(space));
  return quota && period && *period > 0 ? static_cast<double>(*quota) / static_cast<double>(*period) : 0;
}

double QuotaVersion1(const std::string& folder) {
  const auto quota = LeadingNumber(ReadKernelFile(folder + "/cpu.cfs_quota_us"));  // "-1" is no number: no quota
  const auto period = LeadingNumber(ReadKernelFile(folder + "/cpu.cfs_period_us"));
  return quota && period && *period > 0 ? static_cast<double>(*quota) / static_cast<double>(*period) : 0;
}

// Calls visit(folder) for root + path and every ancestor down to root itself. A path that does not start at the root has no levels.
template <typename Visit>
void ForEachLevel(const std::string& root, std::string_view path, Visit visit) {
  while (path.size() > 1 && path.front() == '/') {
    visit(root + std::string(path));
    path = path.substr(0, path.rfind('/'));
  }
  visit(root);
}

// The path of our group in the hierarchy that holds `controller`; version 2's line has an empty controller list
// ("0::/user.slice").
std::optional<std::string_view> GroupPath(std::string_view membership, std::string_view controller) {
  for (size_t at = 0; at < membership.size();) {
    const size_t end = std::min(membership.find('\n', at), membership.size());
    const std::string_view line = membership.substr(at, end - at);
    at = end + 1;
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    std::string_view names = line.substr(first + 1, second - first - 1);
    if (names == controller) return line.substr(second + 1);
    while (!names.empty()) {
      const size_t comma = std::min(names.find(','), names.size());
      if (names.substr(0, comma) == controller) return line.substr(second + 1);
      names = names.substr(std::min(comma + 1, names.size()));
    }
  }
  return std::nullopt;
}

void Tighten(double quota, CgroupLimits& limits) {
  if (quota > 0) limits.cpus = limits.cpus > 0 ? std::min(limits.cpus, quota) : quota;
}

}  // namespace

CgroupLimits ReadCgroupLimits(const std::string& root, std::string_view membership) {
  CgroupLimits limits;
  if (const auto path = GroupPath(membership, "")) {
    ForEachLevel(root, *path, [&limits](const std::string& folder) {
      Tighten(QuotaVersion2(folder), limits);
      limits.memory_available_bytes = std::min(limits.memory_available_bytes, MemoryAvailableIn(folder, kVersion2));
    });
  }
  if (const auto path = GroupPath(membership, "memory")) {
    ForEachLevel(root + "/memory", *path, [&limits](const std::string& folder) {
      limits.memory_available_bytes = std::min(limits.memory_available_bytes, MemoryAvailableIn(folder, kVersion1));
    });
  }
  if (const auto path = GroupPath(membership, "cpu")) {
    ForEachLevel(root + "/cpu", *path, [&limits](const std::string& folder) { Tighten(QuotaVersion1(folder), limits); });
  }
  return limits;
}

CgroupLimits OwnCgroupLimits() {
#if defined(__linux__)
  return ReadCgroupLimits("/sys/fs/cgroup", ReadKernelFile("/proc/self/cgroup"));
#else
  return {};
#endif
}

}  // namespace millrace
