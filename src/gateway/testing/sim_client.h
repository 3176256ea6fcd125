// An HTTP client inside a simulated loop: sends one request, collects the answer, and takes it apart.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "net/sim_loop.h"

namespace millrace::gateway::testing {

struct SimClientOptions {
  std::string method = "POST";
  std::string path;
  std::string body;
  std::string headers;           // extra lines, each with CRLF
  size_t leave_after_bytes = 0;  // disconnects after so many bytes of the answer; 0 = never
  int64_t leave_after_ns = -1;   // disconnects after so long; -1 = never
  int64_t pause_ns = 0;          // between reads
};

// The parts of an answer.
struct Answer {
  int status = 0;
  std::string head;
  std::string body;    // de-chunked
  bool whole = false;  // the framing says that nothing is missing
};

class SimClient {
 public:
  SimClient(net::SimLoop& loop, uint16_t port, SimClientOptions options);
  ~SimClient();

  bool done() const { return done_; }
  bool left() const { return left_; }      // we disconnected
  bool broken() const { return broken_; }  // the connection broke under us
  const std::string& bytes() const { return bytes_; }
  Answer Parse() const;

 private:
  void Read();
  void Leave();

  net::SimLoop* loop_;
  SimClientOptions options_;
  std::unique_ptr<net::Socket> socket_;
  net::TimerId leave_timer_ = net::kNoTimer;
  net::TimerId read_timer_ = net::kNoTimer;
  std::string bytes_;
  bool done_ = false, left_ = false, broken_ = false;
};

// The data lines of a stream of events, comments left out. Incomplete ones at the end are dropped.
std::vector<std::string> EventsOf(std::string_view body);

// What a chat stream says when its events are put together.
struct ChatEvents {
  std::string content;
  std::string finish_reason;
  int roles = 0, finishes = 0, errors = 0, dones = 0, usages = 0;
  std::string error_code;
  bool well_formed = true;  // every event is JSON of the right shape, and nothing follows the end
};
ChatEvents ReadChatEvents(std::string_view body);

}  // namespace millrace::gateway::testing
