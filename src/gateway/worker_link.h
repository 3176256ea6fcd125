// One worker process as the supervisor sees it, and what starts one. Interfaces, because tests run simulated workers.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "ipc/channel.h"
#include "ipc/messages.h"

namespace millrace::gateway {

// Called on the loop's thread, never from inside Launch; none of them once the link is destroyed. on_exit may destroy the link.
struct WorkerEvents {
  std::function<void()> on_records;  // the up ring may hold records
  std::function<void(std::string cause)>
      on_exit;  // the process has ended, "signal 9 (Killed)"; once; the channel can still be read
};

// A running worker, one incarnation. Destroying it kills the process, if it still runs, and drops the channel.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  virtual ipc::GatewayChannel& channel() = 0;
  virtual int pid() const = 0;
  // Ends the process at once; on_exit follows as for any other end.
  virtual void Kill() = 0;
};

class WorkerLauncher {
 public:
  virtual ~WorkerLauncher() = default;
  // Starts a worker on the model behind `model_fds`, one for each of attach.files, which stay the caller's. attach.incarnation is the
  // channel's.
  virtual Result<std::unique_ptr<WorkerLink>> Launch(const ipc::Attach& attach, std::span<const int> model_fds,
                                                     WorkerEvents events) = 0;
};

}  // namespace millrace::gateway
