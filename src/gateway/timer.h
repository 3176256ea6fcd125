// Timer: at most one pending callback of a loop, cancelled when its owner goes.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "net/loop.h"

namespace millrace::gateway {

class Timer {
 public:
  explicit Timer(net::Loop& loop) : loop_(&loop) {}
  ~Timer() { Cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Replaces what was pending. The callback may destroy this timer.
  void Arm(int64_t when_ns, std::function<void()> callback) {
    Cancel();
    id_ = loop_->At(when_ns, [this, run = std::move(callback)] {
      id_ = net::kNoTimer;
      run();
    });
  }
  void ArmAfter(int64_t delay_ns, std::function<void()> callback) { Arm(loop_->NowNs() + delay_ns, std::move(callback)); }
  void Cancel() { loop_->CancelTimer(std::exchange(id_, net::kNoTimer)); }
  bool pending() const { return id_ != net::kNoTimer; }

 private:
  net::Loop* loop_;
  net::TimerId id_ = net::kNoTimer;
};

}  // namespace millrace::gateway
