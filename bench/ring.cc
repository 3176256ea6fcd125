// bench_ring: latency of a message between two processes over a real channel (sealed segment, rings, wake-ups), spinning and sleeping.
//
// The sender stamps the shared monotonic clock into the message just before pushing; the receiver reads the clock just after popping. The
// difference is reported as it is: it contains one reading of the clock, whose cost is printed beside it and not subtracted.
#include <fmt/core.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "ipc/channel.h"
#include "os/cpu.h"
#include "os/thread.h"

namespace millrace {
namespace {

constexpr int64_t kLimitNs = 1000;  // what the verdict demands of the spinning one-way median
constexpr int64_t kGiveUpNs = 10'000'000'000;
constexpr size_t kBatches = 21;

enum PingType : uint16_t { kSpinPing = 1, kSleepPing = 2, kStop = 3 };

// As large as a small token event.
struct Ping {
  int64_t sent_ns = 0;
  int64_t oneway_ns = 0;  // in a reply: what the other direction took
  int64_t filler[6] = {};
};

struct Options {
  bool json = false;
  size_t rounds = 60'000;  // spinning; a thirtieth of that sleeping
};

std::span<const std::byte> Bytes(const Ping& ping) { return std::as_bytes(std::span(&ping, 1)); }

Ping PingOf(const ipc::Record& record) {
  Ping ping;
  CHECK(record.payload().size() == sizeof(ping), "a ping of another size");
  std::memcpy(&ping, record.payload().data(), sizeof(ping));
  return ping;
}

// Where each process waits: on a core of its own where there are two, so that the figure is that of the ring and not of the scheduler.
class Seat {
 public:
  explicit Seat(size_t index) {
    const std::vector<int> cpus = UsableCpus();
    if (cpus.size() > index && cpus.size() >= 2) alone_ = PinThread(cpus[index]).ok();
  }

  // Spins until there is a record; false when none comes for seconds. Gives the core away now and then where both may have to share it:
  // neither would ever see the other otherwise.
  bool SpinFor(const ipc::RingConsumer& ring) const {
    const int64_t start = MonotonicNs();
    while (true) {
      for (int i = 0; i < 1000; ++i) {
        if (ring.HasRecords()) return true;
        SpinPause();
      }
      if (MonotonicNs() - start > kGiveUpNs) return false;
      if (!alone_) std::this_thread::yield();
    }
  }

 private:
  bool alone_ = false;
};

bool SleepFor(ipc::GatewayChannel& channel) {
  while (!channel.up().HasRecords()) {
    if (!channel.up().PrepareSleep()) continue;
    pollfd entry{channel.wake_fd(), POLLIN, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(kGiveUpNs / 1'000'000));
    channel.ClearWake();
    if (ready != 1) return false;
  }
  return true;
}

// The other process: answers every ping, and waits for the next in the way that the last one asked for.
int Answer(ipc::WorkerChannel channel) {
  const Seat seat(1);
  ipc::Record record;
  bool sleeping = false;
  while (true) {
    const bool there = sleeping ? channel.WaitForWork(std::chrono::nanoseconds(0), std::chrono::nanoseconds(kGiveUpNs))
                                : seat.SpinFor(channel.down());
    if (!there) return 1;
    const Result<bool> popped = channel.down().TryPop(record);
    const int64_t now = MonotonicNs();
    if (!popped.ok()) return 1;
    if (!*popped) continue;
    if (record.type() == kStop) return 0;
    sleeping = record.type() == kSleepPing;
    Ping reply;
    reply.oneway_ns = now - PingOf(record).sent_ns;
    reply.sent_ns = MonotonicNs();
    if (const Result<bool> pushed = channel.up().TryPush(record.type(), Bytes(reply)); !pushed.ok() || !*pushed) return 1;
  }
}

struct Samples {
  std::vector<int64_t> oneway;  // both directions
  std::vector<int64_t> roundtrip;
};

// This process's end of the wire.
struct Pinger {
  ipc::GatewayChannel& channel;
  Seat seat;
  ipc::Record record;
};

// One ping and its reply.
Status Exchange(Pinger& pinger, PingType type, Samples& samples) {
  ipc::GatewayChannel& channel = pinger.channel;
  Ping ping;
  ping.sent_ns = MonotonicNs();
  ASSIGN_OR_RETURN(const bool pushed, channel.down().TryPush(type, Bytes(ping)));
  if (!pushed) return Error(Code::kInternal, "the ring is full of a single ping");
  const bool there = type == kSleepPing ? SleepFor(channel) : pinger.seat.SpinFor(channel.up());
  if (!there) return Error(Code::kUnavailable, "the other process does not answer");
  RETURN_IF_ERROR(channel.up().TryPop(pinger.record));
  const int64_t now = MonotonicNs();
  const Ping reply = PingOf(pinger.record);
  samples.roundtrip.push_back(now - ping.sent_ns);
  samples.oneway.push_back(reply.oneway_ns);
  samples.oneway.push_back(now - reply.sent_ns);
  return {};
}

// The value below which `share` of the samples lie.
int64_t Percentile(std::vector<int64_t> samples, double share) {
  if (samples.empty()) return 0;
  const size_t rank = std::min(samples.size() - 1, static_cast<size_t>(share * static_cast<double>(samples.size())));
  std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(rank), samples.end());
  return samples[rank];
}

struct Figures {
  Samples all;
  std::vector<int64_t> batch_medians;  // of one-way, ascending
};

Result<Figures> Measure(Pinger& pinger, PingType type, size_t rounds) {
  Figures figures;
  Samples warm_up;
  for (size_t i = 0; i < rounds / kBatches / 4 + 2; ++i) RETURN_IF_ERROR(Exchange(pinger, type, warm_up));
  for (size_t batch = 0; batch < kBatches; ++batch) {
    Samples samples;
    for (size_t i = 0; i < rounds / kBatches + 1; ++i) {
      // Long enough for the other side to have fallen asleep.
      if (type == kSleepPing) std::this_thread::sleep_for(std::chrono::microseconds(150));
      RETURN_IF_ERROR(Exchange(pinger, type, samples));
    }
    figures.batch_medians.push_back(Percentile(samples.oneway, 0.5));
    figures.all.oneway.insert(figures.all.oneway.end(), samples.oneway.begin(), samples.oneway.end());
    figures.all.roundtrip.insert(figures.all.roundtrip.end(), samples.roundtrip.begin(), samples.roundtrip.end());
  }
  std::sort(figures.batch_medians.begin(), figures.batch_medians.end());
  return figures;
}

int64_t ClockReadNs() {
  constexpr int kReads = 20'000;
  const int64_t start = MonotonicNs();
  for (int i = 1; i < kReads; ++i) (void)MonotonicNs();
  return (MonotonicNs() - start) / kReads;
}

void AddFigures(const char* kind, const Figures& figures, Json& out) {
  out.Set(fmt::format("oneway_{}_p50_ns", kind), Json(Percentile(figures.all.oneway, 0.5)));
  out.Set(fmt::format("oneway_{}_p99_ns", kind), Json(Percentile(figures.all.oneway, 0.99)));
  out.Set(fmt::format("roundtrip_{}_p50_ns", kind), Json(Percentile(figures.all.roundtrip, 0.5)));
  out.Set(fmt::format("roundtrip_{}_p99_ns", kind), Json(Percentile(figures.all.roundtrip, 0.99)));
}

// Ranks 6 and 16 of 21 batches enclose the median with 97 % confidence (binomial).
Json Report(const Figures& spin, const Figures& sleep, const LoadSample& before, size_t rounds) {
  const int64_t lower = spin.batch_medians[5];
  const int64_t upper = spin.batch_medians[15];
  const char* const verdict = upper < kLimitNs ? "holds" : lower >= kLimitNs ? "short" : "inconclusive";
  const LoadSample after = SampleLoad();
  Json out;
  out.Set("ok", Json(upper < kLimitNs));
  out.Set("verdict", Json(verdict));
  out.Set("cpu", Json(GetCpu().model));
  out.Set("isa", Json(IsaName(GetCpu().isa)));
  out.Set("threads", Json(2));
  out.Set("load", Json(before.load_1min));
  out.Set("steal", Json(StealShare(before, after)));
  out.Set("rounds", Json(uint64_t{rounds}));
  out.Set("payload_bytes", Json(uint64_t{sizeof(Ping)}));
  out.Set("clock_read_ns", Json(ClockReadNs()));
  AddFigures("spin", spin, out);
  AddFigures("sleep", sleep, out);
  Json bounds;
  Json oneway;
  oneway.Set("lower", Json(lower));
  oneway.Set("upper", Json(upper));
  bounds.Set("oneway_spin_p50_ns", std::move(oneway));
  out.Set("bounds", std::move(bounds));
  return out;
}

Result<Json> Run(const Options& options) {
  const LoadSample before = SampleLoad();
  ASSIGN_OR_RETURN(ipc::GatewayChannel channel, ipc::GatewayChannel::Create(1));
  const pid_t pid = ::fork();
  if (pid < 0) return Error(Code::kResourceExhausted, "cannot fork");
  if (pid == 0) {
    std::array<UniqueFd, ipc::kChannelFds> fds;
    for (size_t i = 0; i < fds.size(); ++i) fds[i] = UniqueFd(::dup(channel.WorkerFds()[i]));
    Result<ipc::WorkerChannel> worker = ipc::WorkerChannel::Open(std::move(fds), 1);
    ::_exit(worker.ok() ? Answer(std::move(*worker)) : 1);
  }
  const size_t sleeping_rounds = std::max<size_t>(options.rounds / 30, kBatches);
  Pinger pinger{channel, Seat(0), ipc::Record()};
  const Result<Figures> spin = Measure(pinger, kSpinPing, options.rounds);
  const Result<Figures> sleep = spin.ok() ? Measure(pinger, kSleepPing, sleeping_rounds) : spin.status();
  (void)channel.down().TryPush(kStop, {});
  ::waitpid(pid, nullptr, 0);  // it stops by itself, at the latest when nothing came for seconds
  RETURN_IF_ERROR(spin);
  RETURN_IF_ERROR(sleep);
  return Report(*spin, *sleep, before, options.rounds);
}

void PrintForPeople(const Json& report) {
  const auto number = [&report](std::string_view key) { return report.Find(key)->as_double(); };
  fmt::print("{}, two processes, {} bytes a message, load {:.2f}\n\n", report.Find("cpu")->as_string(), number("payload_bytes"),
             number("load"));
  fmt::print("{:<22}{:>12}{:>12}\n", "", "p50", "p99");
  for (const auto& [title, key] : {std::pair{"one way, spinning", "oneway_spin"},
                                   {"round trip, spinning", "roundtrip_spin"},
                                   {"one way, sleeping", "oneway_sleep"},
                                   {"round trip, sleeping", "roundtrip_sleep"}}) {
    fmt::print("{:<22}{:>9} ns{:>9} ns\n", title, number(fmt::format("{}_p50_ns", key)), number(fmt::format("{}_p99_ns", key)));
  }
  fmt::print("\nof which one reading of the clock: {} ns\n", number("clock_read_ns"));
  fmt::print("one way, spinning, below {} ns: {}\n", kLimitNs, report.Find("verdict")->as_string());
}

constexpr const char* kUsage =
    "usage: bench/ring [--json] [--rounds N]\n"
    "Latency between two processes over the shared-memory rings.\n"
    "  --json      last line is one JSON object\n"
    "  --rounds N  spinning round trips, 100 to 10000000 (default 60000)\n"
    "Exit code 0 when the one-way median, spinning, is below 1000 ns.\n";

// Nothing when the program should stop with `exit_code`.
std::optional<Options> ParseArguments(std::span<char*> arguments, int& exit_code) {
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--json") {
      options.json = true;
      continue;
    }
    if (argument == "--rounds" && i + 1 < arguments.size()) {
      const std::string_view value = arguments[++i];
      const auto parsed = std::from_chars(value.data(), value.data() + value.size(), options.rounds);
      if (parsed.ec == std::errc() && parsed.ptr == value.data() + value.size() && options.rounds >= 100 &&
          options.rounds <= 10'000'000) {
        continue;
      }
    }
    exit_code = argument == "--help" ? 0 : 2;
    fmt::print(exit_code == 0 ? stdout : stderr, "{}", kUsage);
    return std::nullopt;
  }
  return options;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  int exit_code = 0;
  const auto options = millrace::ParseArguments(std::span(argv + 1, static_cast<size_t>(argc - 1)), exit_code);
  if (!options) return exit_code;
  const millrace::Result<millrace::Json> report = millrace::Run(*options);
  if (!report.ok()) {
    fmt::print(stderr, "bench_ring: {}\n", report.status().ToString());
    return 1;
  }
  millrace::PrintForPeople(*report);
  if (options->json) fmt::print("{}\n", report.value().Write());
  return report.value().Find("ok")->as_bool() ? 0 : 1;
}
