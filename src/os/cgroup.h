// Limits that a container puts on us, read from cgroup version 2 or 1.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace millrace {

struct CgroupLimits {
  static constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

  double cpus = 0;                               // CPU quota in CPUs; 0 = none
  uint64_t memory_available_bytes = kUnlimited;  // least over the hierarchy of limit - use + inactive file cache
};

// `root` is where the hierarchy is mounted (/sys/fs/cgroup), `membership` the text of /proc/self/cgroup. Every ancestor of our
// group can limit it; files that are missing or malformed do not.
CgroupLimits ReadCgroupLimits(const std::string& root, std::string_view membership);

// Of this process; no limits outside Linux.
CgroupLimits OwnCgroupLimits();

}  // namespace millrace
