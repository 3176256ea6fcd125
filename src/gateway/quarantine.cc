#include "gateway/quarantine.h"

#include <algorithm>

namespace millrace::gateway {

void Quarantine::Charge(uint64_t request, int64_t now_ns) {
  std::erase_if(charges_, [&](const auto& item) { return now_ns - item.second.last_ns > kHoldNs; });
  if (charges_.size() >= kMaxEntries && charges_.count(request) == 0) {
    charges_.erase(std::min_element(charges_.begin(), charges_.end(),
                                    [](const auto& a, const auto& b) { return a.second.last_ns < b.second.last_ns; }));
  }
  Entry& entry = charges_[request];
  ++entry.count;
  entry.last_ns = now_ns;
}

bool Quarantine::Holds(uint64_t request, int64_t now_ns) const {
  const auto at = charges_.find(request);
  return at != charges_.end() && at->second.count >= kCharges && now_ns - at->second.last_ns <= kHoldNs;
}

}  // namespace millrace::gateway
