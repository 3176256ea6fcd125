// millrace-worker: one model behind one ring. Started by the gateway with its end of the control channel as descriptor 3.
#include "base/log.h"
#include "cmd/build_id.h"
#include "os/child.h"
#include "worker/run_worker.h"

int main() {
  millrace::StartLog("millrace-worker", millrace::LogLevel::kInfo);
  return millrace::worker::RunWorker(millrace::UniqueFd(millrace::kInheritedFd), millrace::cmd::BuildId());
}
