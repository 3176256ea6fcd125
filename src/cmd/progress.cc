#include "cmd/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/clock.h"
#include "os/terminal.h"

namespace millrace::cmd {

ProgressLine::ProgressLine(std::string label)
    : label_(std::move(label)), terminal_(IsTerminal(STDERR_FILENO)), started_ns_(MonotonicNs()) {}

ProgressLine::~ProgressLine() {
  if (drawn_ns_ != 0) std::fputs("\r\x1b[K", stderr);
}

void ProgressLine::Show(uint64_t done, uint64_t total) {
  const int64_t now = MonotonicNs();
  if (!terminal_ || total == 0 || (now - drawn_ns_ < 100'000'000 && done < total)) return;
  drawn_ns_ = now;
  const int width = std::clamp(TerminalWidth(STDERR_FILENO) - static_cast<int>(label_.size()) - 24, 10, 50);
  const double part = static_cast<double>(done) / static_cast<double>(total);
  const auto full = static_cast<size_t>(part * width);
  const double left_s = part > 0 ? static_cast<double>(now - started_ns_) * 1e-9 * (1 - part) / part : 0;
  const std::string line = fmt::format("\r{} [{}{}] {:3.0f} % {:.0f} s left\x1b[K", label_, std::string(full, '#'),
                                       std::string(static_cast<size_t>(width) - full, '.'), part * 100, left_s);
  std::fputs(line.c_str(), stderr);
}

}  // namespace millrace::cmd
