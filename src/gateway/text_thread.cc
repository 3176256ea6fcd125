#include "gateway/text_thread.h"

#include <utility>

namespace millrace::gateway {

bool TextThread::Run(size_t text_bytes, std::function<void()> work, std::function<void()> then) {
  if (text_bytes <= kInlineBytes) {
    work();
    then();
    return true;
  }
  if (jobs_ >= kMaxJobs) return false;
  ++jobs_;
  executor_->Run(std::move(work), [this, then = std::move(then)] {
    --jobs_;
    then();
  });
  return true;
}

}  // namespace millrace::gateway
