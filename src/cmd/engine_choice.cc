#include "cmd/engine_choice.h"

#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>

#include "base/clock.h"
#include "base/json.h"
#include "gateway/process_launcher.h"
#include "os/child.h"

namespace millrace::cmd {

namespace {

constexpr const char* kMlxProgram = "millrace-worker-mlx";
constexpr int64_t kProbeNs = 30'000'000'000;  // a first start may build kernels
constexpr size_t kMaxReply = 4096;

struct Probe {
  bool gpu = false;
  std::string device;
};

// What the child writes, until it closes its end or the time is over.
std::string ReadReply(int fd) {
  std::string text;
  const int64_t end = MonotonicNs() + kProbeNs;
  while (text.size() < kMaxReply) {
    pollfd readable = {fd, POLLIN, 0};
    const int64_t left_ms = (end - MonotonicNs()) / 1'000'000;
    if (left_ms <= 0 || poll(&readable, 1, static_cast<int>(left_ms)) <= 0) break;
    char buffer[1024];
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got <= 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

// {"device": NAME, "gpu": BOOL}, or {"error": TEXT}.
Result<Probe> ParseReply(const std::string& text) {
  const auto json = Json::Parse(text);
  const Json* error = json.ok() ? json->Find("error") : nullptr;
  if (error != nullptr && error->is_string()) return Status(Code::kUnavailable, error->as_string());
  const Json* device = json.ok() ? json->Find("device") : nullptr;
  const Json* gpu = json.ok() ? json->Find("gpu") : nullptr;
  if (device == nullptr || !device->is_string() || gpu == nullptr) return Error(Code::kUnavailable, "it gave no answer");
  return Probe{.gpu = *gpu == Json(true), .device = device->as_string()};
}

Result<Probe> AskMlx(const std::string& program) {
  int ends[2];
  if (pipe(ends) != 0) return Error(Code::kUnavailable, "no pipe for its answer");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  SpawnOptions spawn;
  spawn.executable = program;
  spawn.argv = {kMlxProgram, "--probe"};
  spawn.inherited_fd = write_end.get();
  ASSIGN_OR_RETURN(Child child, Child::Spawn(spawn));
  write_end.Reset();
  const auto probe = ParseReply(ReadReply(read_end.get()));
  const auto exit = child.ReapWithin(std::chrono::seconds(1));
  if (probe.ok()) return probe;
  return Error(Code::kUnavailable, "{} ({})", probe.status().message(), exit ? exit->ToString() : "it does not end");
}

Result<EngineChoice> Cpu(std::string reason) {
  ASSIGN_OR_RETURN(std::string program, gateway::FindWorkerProgram(""));
  return EngineChoice{.engine = "cpu", .program = std::move(program), .reason = std::move(reason)};
}

}  // namespace

void AddEngineOption(CLI::App& command, std::string& engine) {
  command.add_option("--engine", engine, "What computes: cpu, mlx, or auto (mlx where it finds a GPU)")
      ->check(CLI::IsMember({"auto", "cpu", "mlx"}))
      ->capture_default_str();
}

Result<EngineChoice> ChooseEngine(const std::string& asked) {
  if (asked == "cpu") return Cpu("");
  const auto program = gateway::FindWorkerProgram("", kMlxProgram);
  if (!program.ok()) {
    if (asked == "auto") return Cpu(std::string(kMlxProgram) + " is not installed");
    return Error(
        Code::kNotFound,
        "engine mlx: {}. Build it (cmake --workflow --preset mlx) and name its folder in MILLRACE_LIBEXEC, or use --engine cpu",
        program.status().message());
  }
  const auto probe = AskMlx(*program);
  if (asked == "auto") {
    if (!probe.ok()) return Cpu("MLX does not work here: " + probe.status().message());
    if (!probe->gpu) return Cpu("MLX finds no GPU here");
    return EngineChoice{.engine = "mlx", .program = *program, .reason = "MLX computes on " + probe->device};
  }
  if (!probe.ok()) {
    return Error(Code::kUnavailable, "engine mlx does not work here: {}; --engine cpu does without MLX",
                 probe.status().message());
  }
  return EngineChoice{.engine = "mlx", .program = *program, .reason = ""};
}

}  // namespace millrace::cmd
