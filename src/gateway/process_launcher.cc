#include "gateway/process_launcher.h"

#include <unistd.h>

#include <cstdlib>
#include <utility>
#include <vector>

#include "gateway/timer.h"
#include "os/child.h"
#include "os/socketpair.h"

namespace millrace::gateway {
namespace {

constexpr int64_t kPollNs = 20'000'000;  // where the system has no process descriptors

class ProcessLink final : public WorkerLink {
 public:
  ProcessLink(net::Loop& loop, ipc::GatewayChannel channel, ControlSocket control, Child child, WorkerEvents events)
      : loop_(&loop),
        channel_(std::move(channel)),
        control_(std::move(control)),
        child_(std::move(child)),
        events_(std::move(events)),
        pid_(child_.pid()),
        poll_(loop) {}

  Status Watch() {
    ASSIGN_OR_RETURN(ring_watch_, loop_->WatchReadable(channel_.wake_fd(), [this] { events_.on_records(); }));
    if (child_.exit_fd() < 0) {
      Poll();
      return {};
    }
    ASSIGN_OR_RETURN(exit_watch_, loop_->WatchReadable(child_.exit_fd(), [this] { OnExit(); }));
    return {};
  }

  ipc::GatewayChannel& channel() override { return channel_; }
  int pid() const override { return pid_; }
  void Kill() override { child_.Kill(); }

 private:
  void Poll() {
    poll_.ArmAfter(kPollNs, [this] {
      Poll();
      OnExit();
    });
  }

  void OnExit() {
    const auto status = child_.TryReap();
    if (!status) return;
    poll_.Cancel();
    exit_watch_.reset();
    const auto on_exit = std::move(events_.on_exit);  // the callee may destroy this link
    on_exit(status->ToString());
  }

  net::Loop* loop_;
  ipc::GatewayChannel channel_;
  ControlSocket control_;  // the worker ends when it sees this closed
  Child child_;
  WorkerEvents events_;
  const int pid_;
  Timer poll_;
  std::unique_ptr<net::Watch> ring_watch_;
  std::unique_ptr<net::Watch> exit_watch_;
};

}  // namespace

Result<std::string> FindWorkerProgram(const std::string& configured, const char* name) {
  std::vector<std::string> places;
  if (!configured.empty()) {
    places.push_back(configured);
  } else if (const char* chosen = std::getenv("MILLRACE_LIBEXEC"); chosen != nullptr && *chosen != '\0') {
    places.push_back(std::string(chosen) + "/" + name);  // nowhere else: it would be another worker than the one asked for
  } else {
    ASSIGN_OR_RETURN(const std::string own, OwnExecutable());
    const std::string folder = own.substr(0, own.rfind('/'));
    places.push_back(folder + "/" + name);
    places.push_back(folder + "/../libexec/" + name);
    places.push_back(folder + "/../libexec/millrace/" + name);
  }
  std::string tried;
  for (const std::string& place : places) {
    if (access(place.c_str(), X_OK) == 0) return place;
    tried += (tried.empty() ? "" : ", ") + place;
  }
  return Error(Code::kNotFound, "the program {} is in none of these places: {}", name, tried);
}

Result<std::unique_ptr<WorkerLink>> ProcessLauncher::Launch(const ipc::Attach& attach, std::span<const int> model_fds,
                                                            WorkerEvents events) {
  ASSIGN_OR_RETURN(ipc::GatewayChannel channel, ipc::GatewayChannel::Create(attach.incarnation));
  ASSIGN_OR_RETURN(auto sockets, ControlSocket::CreatePair());
  const auto shared = channel.WorkerFds();
  std::vector<int> fds = {shared[ipc::kSegmentFd], shared[ipc::kWorkerWakeFd], shared[ipc::kGatewayWakeFd]};
  fds.insert(fds.end(), model_fds.begin(), model_fds.end());
  // Sent before the child exists: it waits in the socket, and a child that cannot start costs nothing but the socket.
  RETURN_IF_ERROR(sockets.first.Send(ipc::Encode(attach), fds));
  SpawnOptions options;
  options.executable = program_;
  options.argv = {program_.substr(program_.rfind('/') + 1)};
  options.inherited_fd = sockets.second.fd();
  ASSIGN_OR_RETURN(Child child, Child::Spawn(options));
  auto link =
      std::make_unique<ProcessLink>(*loop_, std::move(channel), std::move(sockets.first), std::move(child), std::move(events));
  RETURN_IF_ERROR(link->Watch());
  return std::unique_ptr<WorkerLink>(std::move(link));
}

}  // namespace millrace::gateway
