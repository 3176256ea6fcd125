// The gateway's source of seeds, ids and jitter: counter-based, so a run with a given key can be repeated exactly.
#pragma once

#include <cstdint>

#include "base/philox.h"

namespace millrace::gateway {

class Random {
 public:
  explicit Random(uint64_t key) : key_(key) {}

  uint64_t Next() {
    const auto words = Philox({static_cast<uint32_t>(count_), static_cast<uint32_t>(count_ >> 32), 0, 0},
                              {static_cast<uint32_t>(key_), static_cast<uint32_t>(key_ >> 32)});
    ++count_;
    return uint64_t{words[0]} << 32 | words[1];
  }
  // [0, 1)
  double NextUnit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

 private:
  uint64_t key_;
  uint64_t count_ = 0;
};

}  // namespace millrace::gateway
