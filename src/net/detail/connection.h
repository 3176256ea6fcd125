// One client connection: reads requests one after the other, hands each to its route, writes the answer. Loop thread only.
//
// A read is always pending while a request is handled, so that a client that goes away is noticed at once; bytes of a next
// request wait in input_ until the answer is written. At most one Socket::Write is outstanding: what comes while it is goes out
// together afterwards.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "net/exchange.h"
#include "net/loop.h"
#include "net/request_parser.h"
#include "net/server.h"

namespace millrace::net {

// What the connections of a server share. Outlives the server while a connection is still on the stack.
struct ServerCore {
  ServerCore(Loop& event_loop, const Router& routes, ServerOptions server_options)
      : loop(event_loop), router(routes), options(std::move(server_options)) {}

  Loop& loop;
  const Router& router;
  ServerOptions options;
  ServerStats stats;
  bool draining = false;
  bool crowded = false;     // at the limit of connections: none is kept alive for later
  size_t bodies_bytes = 0;  // of all requests whose answer has not begun
  uint64_t id_prefix = 0;
  uint64_t next_request = 1;
  std::function<void(Connection&)> on_closed;  // null once the server is gone
  std::function<void()> on_progress;           // a request or a last write ended

  std::string NextRequestId();
  ErrorText ShapeError(int status, std::string_view message) const;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ServerCore> core, std::unique_ptr<Socket> socket);
  ~Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Start();
  void StartRefused(int status, std::string_view message);  // answers without reading and closes
  void Close();
  void CutOff(const Status& why) { ClientGone(why, /*later=*/true); }  // tells the handler; Close follows
  // A request is being handled or an answer is still on its way.
  bool busy() const { return phase_ != Phase::kReading && phase_ != Phase::kClosed; }
  const Address& peer() const { return peer_; }

  // For Exchange and StreamWriter.
  void WriteResponse(Response response);
  void WriteError(int status, std::string_view message, std::vector<Headers::Field> headers);
  void BeginStream(StreamOptions options);
  void StreamSend(std::string_view frame);
  void StreamFinish();
  void Abort();  // the peer must not take what it has for whole
  size_t unsent_bytes() const { return socket_->unsent_bytes() + waiting_out_.size(); }
  Loop& loop() { return core_->loop; }

 private:
  enum class Phase {
    kReading,    // between requests, in a head or in a body
    kHandling,   // a handler has the request
    kStreaming,  // the response head is out
    kWriting,    // the answer is complete and on its way
    kLingering,  // all is written; input is drained until the client closes
    kClosed,
  };

  void ReadMore();
  void OnRead(const Result<std::string_view>& result);
  void OnEndOfInput();
  void ParseInput();
  void OnHead();
  void OnComplete();
  void OnParseError();
  void CountBody(size_t bytes);
  bool AnswerOptions(const Request& request, const std::string& allow);
  void Refuse(Refusal refusal);
  void RefuseError(int status, std::string_view message);
  void SetCorsHeaders(const Request& request);

  void Write(std::string bytes);
  void OnWritten(const Status& status);
  bool MayKeepAlive() const;
  void AfterResponse();
  void Linger();
  void EndExchange();
  void ClientGone(Status why, bool later);

  void Schedule(int64_t at_ns);
  void OnTimer();
  void CheckReadTimes(int64_t now_ns);
  void CheckWriteProgress(int64_t now_ns);
  bool CheckBodyRate(int64_t now_ns);

  const std::shared_ptr<ServerCore> core_;
  const std::unique_ptr<Socket> socket_;
  const Address peer_;
  RequestParser parser_;
  std::string input_;
  Phase phase_ = Phase::kReading;

  // The current request.
  std::weak_ptr<Exchange> exchange_;
  const Route* route_ = nullptr;
  PathValues values_;
  std::string request_id_;
  std::vector<Headers::Field> cors_headers_;
  std::string heartbeat_;
  int minor_version_ = 1;
  bool keep_alive_ = true;
  bool head_only_ = false;
  bool chunked_ = false;
  bool exchange_open_ = false;  // counted in ServerStats::exchanges

  int requests_ = 0;
  bool reading_ = false;
  bool input_ended_ = false;
  bool writing_ = false;
  std::string waiting_out_;

  TimerId timer_ = kNoTimer;
  int64_t timer_at_ns_ = 0;
  int64_t deadline_ns_ = 0;  // of the idle time, the head or the linger time
  int64_t body_begin_ns_ = 0;
  size_t counted_body_ = 0;  // our part of ServerCore::bodies_bytes
  int64_t last_frame_ns_ = 0;
  int64_t write_progress_ns_ = 0;
  size_t write_unsent_ = 0;
};

}  // namespace millrace::net
