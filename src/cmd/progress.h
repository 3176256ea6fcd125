// A progress line on standard error, drawn only on a terminal, at most ten times a second, removed when done.
#pragma once

#include <cstdint>
#include <string>

namespace millrace::cmd {

class ProgressLine {
 public:
  explicit ProgressLine(std::string label);
  ~ProgressLine();  // removes the line
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Show(uint64_t done, uint64_t total);

 private:
  const std::string label_;
  const bool terminal_;
  int64_t started_ns_ = 0;
  int64_t drawn_ns_ = 0;
};

}  // namespace millrace::cmd
