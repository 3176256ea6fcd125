// What a gateway is told at its start. Plain data: the command line, the environment and the configuration file fill it
// elsewhere.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace millrace::gateway {

// Used where a request is silent. An absent field falls back to the defaults of the OpenAI interface (temperature 1, top-p 1,
// rest off).
struct SamplingDefaults {
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<int32_t> top_k;
  std::optional<float> repetition_penalty;
};

// One model: where it lies, what requests call it, how its worker runs.
struct ModelOptions {
  std::string path;   // GGUF file, or directory with config.json and *.safetensors
  std::string alias;  // the `model` of a request; empty: the file name without its extension, or the directory's name
  SamplingDefaults sampling;
  uint32_t context = 0;        // positions per sequence; 0 = min(model's own, 8192)
  uint32_t slots = 8;          // sequences at once
  uint32_t threads = 0;        // 0 = the worker decides
  uint32_t prefill_chunk = 0;  // tokens; 0 = the worker decides
  bool reference = false;      // float reference mode
  uint32_t quantise = 0;       // 4 or 8: float weights are quantised to so many bits at load; 0 = as they are
  std::string isa;             // forced instruction set; empty = the best one
  uint32_t max_waiting = 64;   // requests beyond `slots` that may wait; above: 503 with Retry-After
};

// A client's key. The gateway keeps a hash of the secret, and the name becomes the tenant of its requests.
struct ApiKey {
  std::string name;
  std::string secret;
};

enum class ModelState : uint8_t {
  kStarting,  // process started, nothing heard yet
  kLoading,   // the worker reports progress
  kReady,
  kBackoff,  // died; the next start is scheduled
  kFailed,   // gave up: crash loop, or a worker that does not fit this gateway
  kStopped,  // drained
};

// State of one model, for people and for /health.
struct ModelStatus {
  std::string alias;
  ModelState state = ModelState::kStarting;
  std::string cause;          // why it is in kBackoff or kFailed
  Code code = Code::kOk;      // the kind of that cause, in kFailed
  uint32_t loading_done = 0;  // of loading_total, while kLoading
  uint32_t loading_total = 0;
  uint32_t incarnations = 0;  // workers started so far
  int pid = -1;               // of the worker; -1 while none runs
  uint32_t context = 0;       // what requests are held against
  uint32_t slots = 0;
  uint32_t running = 0;     // requests in the worker's hands
  uint32_t waiting = 0;     // requests admitted and not yet given to it
  std::string engine, isa;  // once ready
  uint32_t threads = 0;
  uint64_t weight_bytes = 0, kv_pool_bytes = 0, bytes_per_token = 0;
  double roof_gb_s = 0;  // 0 until the worker measured it
};

// How patient the supervision of workers is. The defaults are those of docs/request-path.md; tests shorten them.
struct SupervisionLimits {
  int64_t first_backoff_ns = 100'000'000;  // doubled with every further death
  int64_t max_backoff_ns = 30'000'000'000;
  double jitter = 0.2;                            // each wait is longer or shorter by up to this part
  int64_t healthy_ns = 60'000'000'000;            // ready for so long: earlier deaths are forgotten
  uint32_t crash_loop_deaths = 5;                 // so many deaths without a token in between ...
  int64_t crash_loop_window_ns = 60'000'000'000;  // ... within so long, and the model has failed
  int64_t retry_failed_ns = 300'000'000'000;      // after a crash loop one more try
  int64_t hello_silence_ns = 60'000'000'000;      // while starting: longest time without any progress
  int64_t hang_ns = 10'000'000'000;               // with work at hand: longest time without a heartbeat
  int64_t stop_ns = 3'000'000'000;                // from the order to stop to SIGKILL
};

struct GatewayOptions {
  std::string address = "127.0.0.1";         // IP literal; one that is not loopback demands at least one key
  uint16_t port = 11440;                     // 0 = any free one, see Gateway::port()
  std::vector<ApiKey> keys;                  // empty: nobody is asked
  std::vector<std::string> allowed_hosts;    // beside IP literals, localhost, *.localhost and *.local
  std::vector<std::string> allowed_origins;  // exact; a browser page of any other origin is refused
  int64_t drain_timeout_ns = 30'000'000'000;
  std::vector<ModelOptions> models;  // at least one
  std::string build_id;              // a worker of another build is refused
  std::string version;               // for /version and system_fingerprint
  // Empty: millrace-worker from $MILLRACE_LIBEXEC; where that is not set, beside this program, else ../libexec, else ../libexec/millrace.
  std::string worker_program;
  SupervisionLimits supervision;
  uint64_t random_key = 0;  // of seeds, ids and jitter; 0 = from the system. For runs that can be repeated
  // Called on the loop whenever a model's state or progress changes. May be empty.
  std::function<void(const ModelStatus&)> on_model_change;
};

}  // namespace millrace::gateway
