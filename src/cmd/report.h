// The object that every command with figures prints as its last line under --json: ok, verdict, cpu, isa, threads, load, then the figures.
#pragma once

#include <string>

#include "base/json.h"
#include "os/cpu.h"

namespace millrace::cmd {

class Report {
 public:
  // Samples load and steal now; the object tells their change until Write.
  Report(std::string isa, uint32_t threads);

  void Set(std::string key, Json value) { figures_.Set(std::move(key), std::move(value)); }

  // One line. `verdict` is "holds", "short" or "inconclusive"; ok is true exactly for "holds".
  std::string Write(const std::string& verdict) const;

 private:
  std::string isa_;
  uint32_t threads_;
  LoadSample before_;
  Json figures_{Json::Object{}};
};

double Rounded(double value, int decimals);  // for figures that people read

}  // namespace millrace::cmd
