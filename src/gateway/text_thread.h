// Where rendering and tokenising happens: at once for short texts, on a thread of its own for long ones, so that the loop never stands
// still over someone's book.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "net/loop.h"

namespace millrace::gateway {

class TextThread {
 public:
  static constexpr size_t kInlineBytes = 16 << 10;
  static constexpr size_t kMaxJobs = 64;  // on the thread or waiting for it

  explicit TextThread(net::Loop& loop) : executor_(loop.MakeExecutor("text")) {}

  // `work` must not touch what the loop may change; `then` runs on the loop, after it. Short texts: both run before this returns.
  // False, and neither runs: too many long texts wait already.
  bool Run(size_t text_bytes, std::function<void()> work, std::function<void()> then);

  size_t jobs() const { return jobs_; }

 private:
  size_t jobs_ = 0;
  std::unique_ptr<net::Executor> executor_;
};

}  // namespace millrace::gateway
