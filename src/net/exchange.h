// One request and its answer, as a handler sees them. Loop thread only.
//
// Whatever happens, a request ends exactly once: Respond, Finish of its stream, or the connection closed. An Exchange that is
// dropped without an answer is answered with 500; a StreamWriter dropped without Finish breaks the connection, so that a cut
// stream can never be mistaken for a whole one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/http_request.h"
#include "net/response.h"
#include "net/router.h"

namespace millrace::net {

class Connection;

inline constexpr std::string_view kSseHeartbeat = ": keep-alive\n\n";

struct StreamOptions {
  int status = 200;
  std::string content_type = "text/event-stream";
  std::vector<Headers::Field> headers;
  std::string heartbeat{kSseHeartbeat};  // sent after ServerLimits::heartbeat_ns of silence; empty = none
};

// The body of a streamed answer. Keeps its Exchange alive.
class StreamWriter {
 public:
  explicit StreamWriter(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  ~StreamWriter();
  StreamWriter(const StreamWriter&) = delete;
  StreamWriter& operator=(const StreamWriter&) = delete;

  // Sends the bytes of one frame, in one write, together with what is waiting when the client is behind. Ignored once the client
  // is gone.
  void Send(std::string_view frame);
  void Finish();  // ends the body properly; no Send afterwards

  bool client_gone() const;
  size_t unsent_bytes() const;
  // As Exchange::OnClientGone, for holders of the stream only.
  void OnClientGone(std::function<void(Status)> callback);

 private:
  std::shared_ptr<Exchange> exchange_;
  bool finished_ = false;
};

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(std::weak_ptr<Connection> connection, Request request, PathValues values);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  const Request& request() const { return request_; }
  // The value of {name} in the route's pattern; empty when the pattern has no such name.
  std::string_view value(std::string_view name) const;

  // The whole answer. Once, and not after BeginStream (CHECK). Without effect when the client is gone.
  void Respond(Response response);
  void Respond(int status, std::string content_type, std::string body, std::vector<Headers::Field> headers = {});
  // An error shaped by the server's ErrorBody hook.
  void RespondError(int status, std::string_view message, std::vector<Headers::Field> headers = {});

  // Sends the response head now; heartbeats run from here on.
  std::unique_ptr<StreamWriter> BeginStream(StreamOptions options = {});

  // Runs at most once, within a loop turn of the client's close, reset, stall or overrun; never after Respond or Finish. Replaces
  // an earlier callback. Its Status says which it was. When the client is already gone it runs in the next turn.
  void OnClientGone(std::function<void(Status)> callback);
  bool client_gone() const;

 private:
  friend class StreamWriter;
  friend class Connection;

  std::weak_ptr<Connection> connection_;
  Request request_;
  PathValues values_;
  std::function<void(Status)> on_client_gone_;
  Status gone_;            // why, once the client is gone
  bool answered_ = false;  // Respond or BeginStream was called
};

}  // namespace millrace::net
