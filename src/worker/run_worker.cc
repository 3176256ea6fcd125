#include "worker/run_worker.h"

#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "ipc/channel.h"
#include "ipc/messages.h"
#include "os/signals.h"
#include "os/socketpair.h"
#include "os/thread.h"
#include "worker/model_loader.h"
#include "worker/worker.h"

namespace millrace::worker {
namespace {

constexpr std::chrono::seconds kAttachTimeout{10};
constexpr std::chrono::seconds kPushTimeout{5};

struct Attached {
  ipc::Attach attach;
  ipc::WorkerChannel channel;
  std::vector<UniqueFd> model;  // one for each of attach.files
};

Result<Attached> OpenAttach(ControlPacket packet) {
  Attached attached;
  ASSIGN_OR_RETURN(attached.attach, ipc::DecodeAttach(packet.bytes));
  // Those of the model come after the channel's.
  const size_t expected = ipc::kChannelFds + attached.attach.files.size();
  if (packet.fds.size() != expected || attached.attach.files.empty()) {
    return Error(Code::kDataLoss, "attach: expected {} descriptors and at least one file, found {} descriptors and {} files",
                 expected, packet.fds.size(), attached.attach.files.size());
  }
  std::array<UniqueFd, ipc::kChannelFds> fds;
  for (size_t i = 0; i < fds.size(); ++i) fds[i] = std::move(packet.fds[i]);
  ASSIGN_OR_RETURN(attached.channel, ipc::WorkerChannel::Open(std::move(fds), attached.attach.incarnation));
  for (size_t i = ipc::kChannelFds; i < packet.fds.size(); ++i) attached.model.push_back(std::move(packet.fds[i]));
  return attached;
}

// For the few messages that must arrive: a fresh ring has room for them, so waiting means that nobody reads.
bool PushPatiently(ipc::RingProducer& ring, const ipc::ToGateway& message) {
  const auto end = std::chrono::steady_clock::now() + kPushTimeout;
  while (!ipc::Push(ring, message)) {
    if (!ring.health().ok() || std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

Result<LoadedModel> Load(Attached& attached, const BackendRow& backend) {
  ipc::WorkerChannel& channel = attached.channel;
  LoadOptions options;
  options.backend = &backend;
  options.context = attached.attach.context;
  options.slots = attached.attach.slots;
  options.threads = attached.attach.threads;
  options.prefill_chunk = attached.attach.prefill_chunk;
  if (attached.attach.kv_type > static_cast<uint8_t>(model::KvType::kF32)) {
    return Error(Code::kUnsupported, "kv_type: expected 0 (f16) or 1 (f32), found {}", attached.attach.kv_type);
  }
  options.kv_type = static_cast<model::KvType>(attached.attach.kv_type);
  options.reference = attached.attach.reference;
  options.isa = attached.attach.isa;
  options.quantise = attached.attach.quantise;
  options.on_step = BlameIn(channel.vitals());
  options.progress = [&channel](size_t done, size_t total) {
    channel.vitals().Beat();
    // Progress that does not fit is no loss: more follows.
    ipc::Push(channel.up(), ipc::Loading{static_cast<uint32_t>(done), static_cast<uint32_t>(total)});
  };
  options.progress(0, 1);
  std::vector<int> fds;
  fds.reserve(attached.model.size());
  for (const UniqueFd& fd : attached.model) fds.push_back(fd.get());
  ASSIGN_OR_RETURN(LoadedModel model, LoadModelFromFiles(attached.attach.files, fds, options));
  attached.model.clear();
  return model;
}

ipc::Hello HelloOf(const LoadedModel& model, std::string_view build_id) {
  const model::RunnerInfo& info = model.engine->runner().info();
  ipc::Hello hello;
  hello.build_id = build_id;
  hello.vocabulary_fingerprint = model.vocabulary_fingerprint;
  hello.vocabulary_size = model.engine->runner().config().vocab;
  hello.end_of_sequence = model.end_of_sequence;
  hello.engine = info.engine;
  hello.isa = info.isa;
  hello.threads = info.threads;
  hello.slots = info.slots;
  hello.context = info.context;
  hello.block_tokens = info.block_tokens;
  hello.blocks = info.blocks;
  hello.deterministic = info.deterministic;
  hello.weight_bytes = info.weight_bytes;
  hello.kv_pool_bytes = info.kv_pool_bytes;
  hello.bytes_per_token = model.bytes_per_token;
  return hello;
}

int Serve(Attached& attached, ControlSocket& control, std::string_view build_id, const BackendRow& backend) {
  auto model = Load(attached, backend);
  if (!model.ok()) {
    LogError("{}", model.status().ToString());
    PushPatiently(attached.channel.up(), ipc::Failed{0, model.status().code(), model.status().message()});
    return kExitLoad;
  }
  if (!PushPatiently(attached.channel.up(), HelloOf(*model, build_id))) {
    LogError("the gateway does not read its ring");
    return kExitProtocol;
  }
  Worker worker(attached.channel, control, *model);
  const Status status = worker.Run();
  if (status.ok()) return kExitOk;
  LogError("{}", status.ToString());
  return kExitProtocol;
}

}  // namespace

int RunWorker(UniqueFd control_fd, std::string_view build_id, const BackendRow& backend) {
  IgnoreBrokenPipes();
  ControlSocket control(std::move(control_fd));
  auto packet = control.ReceiveWithin(kAttachTimeout);
  if (!packet.ok()) {
    LogError("no gateway at descriptor 3 ({}): millrace-worker is started by 'millrace serve', not by hand",
             packet.status().message());
    return kExitNotStarted;
  }
  auto attached = OpenAttach(std::move(packet).value());
  if (!attached.ok()) {
    LogError("{}", attached.status().ToString());
    return kExitProtocol;
  }
  SetThreadName("engine");
  return Serve(*attached, control, build_id, backend);
}

}  // namespace millrace::worker
