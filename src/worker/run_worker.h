// The life of a worker process: receive what to load, load it, say hello, serve, end.
#pragma once

#include <string_view>

#include "os/fd.h"
#include "worker/backends.h"

namespace millrace::worker {

// Exit codes of the process; the gateway shows them when nothing better is known.
enum WorkerExit : int {
  kExitOk = 0,          // asked to end, or the gateway is gone
  kExitNotStarted = 2,  // nobody is at the other end of the control channel: started by hand
  kExitProtocol = 3,    // the gateway sent what it may not send
  kExitLoad = 4,        // the model cannot be loaded; the gateway was told why
};

// `control`: the inherited end of the control channel. The gateway sends one ipc::Attach over it, with the descriptors of the segment, the
// worker's wake-up, the gateway's wake-up and the model's files. Opens no file itself. Call once, from the process's first thread, which then is the
// only one that touches `backend`.
int RunWorker(UniqueFd control, std::string_view build_id, const BackendRow& backend = CpuRow());

}  // namespace millrace::worker
