// Workers as child processes of a worker program (millrace-worker, or the one of another engine).
//
// Start: a socketpair is inherited as descriptor 3; over it goes one ipc::Attach with the descriptors of the shared segment, of the two
// wake-ups and of the model's files. Standard error is inherited. The child's end is watched through its process descriptor.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "gateway/worker_link.h"
#include "net/loop.h"

namespace millrace::gateway {

inline constexpr const char* kWorkerProgram = "millrace-worker";

// Where a worker's program is: `configured` if not empty, else `name` in $MILLRACE_LIBEXEC, beside this program, or in ../libexec or
// ../libexec/millrace of its folder. kNotFound names the places that were tried.
Result<std::string> FindWorkerProgram(const std::string& configured, const char* name = kWorkerProgram);

// Children die with the thread that spawned them: use it from the thread that lives as long as the process.
class ProcessLauncher final : public WorkerLauncher {
 public:
  ProcessLauncher(net::Loop& loop, std::string program) : loop_(&loop), program_(std::move(program)) {}
  Result<std::unique_ptr<WorkerLink>> Launch(const ipc::Attach& attach, std::span<const int> model_fds,
                                             WorkerEvents events) override;

 private:
  net::Loop* loop_;
  std::string program_;
};

}  // namespace millrace::gateway
