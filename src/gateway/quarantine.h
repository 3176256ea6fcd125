// Requests that kill workers. A worker's death is charged to the requests of the step it died in; two charges to the same request
// without a token of it in between, and it is not tried again for a while.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace millrace::gateway {

class Quarantine {
 public:
  static constexpr int64_t kHoldNs = 600'000'000'000;  // a charge is forgotten after ten minutes
  static constexpr size_t kMaxEntries = 1024;          // then the oldest charge goes
  static constexpr int kCharges = 2;

  // `request` is a fingerprint of what was asked, so that a client's retry is known again.
  void Charge(uint64_t request, int64_t now_ns);
  void Clear(uint64_t request) { charges_.erase(request); }  // it produced a token
  bool Holds(uint64_t request, int64_t now_ns) const;
  size_t size() const { return charges_.size(); }

 private:
  struct Entry {
    int count = 0;
    int64_t last_ns = 0;
  };
  std::map<uint64_t, Entry> charges_;
};

}  // namespace millrace::gateway
