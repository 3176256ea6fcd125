#include "net/detail/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "net/detail/text_classes.h"

namespace millrace::net {
namespace {

constexpr size_t kMaxWaitingInput = 64 << 10;  // of requests behind the current one; then the client's writes block
constexpr int64_t kCheckNs = kSecondNs;        // how often body rate and write progress are looked at
constexpr size_t kMaxRequestIdBytes = 64;

bool IsRequestId(std::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestIdBytes &&
         std::ranges::all_of(id, [](char c) { return detail::IsAlnum(c) || c == '.' || c == '_' || c == '-'; });
}

bool HasNoBody(int status) { return status == 204 || status == 304 || status < 200; }

}  // namespace

std::string ServerCore::NextRequestId() { return fmt::format("req-{:012x}-{:x}", id_prefix & 0xFFFFFFFFFFFF, next_request++); }

ErrorText ServerCore::ShapeError(int status, std::string_view message) const {
  if (options.hooks.error_body) return options.hooks.error_body(status, message);
  ErrorText text;
  text.body = R"({"error":{"message":)";
  AppendJsonString(message, text.body);
  text.body += fmt::format(R"(,"code":{}}}}})", status);
  return text;
}

Connection::Connection(std::shared_ptr<ServerCore> core, std::unique_ptr<Socket> socket)
    : core_(std::move(core)), socket_(std::move(socket)), peer_(socket_->peer()), parser_(core_->options.limits.parse) {}

void Connection::Start() {
  deadline_ns_ = core_->loop.NowNs() + core_->options.limits.head_ns;
  Schedule(deadline_ns_);
  ReadMore();
}

void Connection::StartRefused(int status, std::string_view message) {
  keep_alive_ = false;
  RefuseError(status, message);
  ReadMore();
}

void Connection::Close() {
  if (phase_ == Phase::kClosed) return;
  const auto self = shared_from_this();
  phase_ = Phase::kClosed;
  CountBody(0);
  EndExchange();
  core_->loop.CancelTimer(std::exchange(timer_, kNoTimer));
  socket_->Close();
  if (core_->on_closed) core_->on_closed(*this);
}

void Connection::Abort() {
  socket_->Abort();
  Close();
}

// ---- input

void Connection::ReadMore() {
  if (reading_ || input_ended_ || phase_ == Phase::kClosed || input_.size() >= kMaxWaitingInput) return;
  reading_ = true;
  socket_->Read([this](const Result<std::string_view>& result) { OnRead(result); });
}

void Connection::OnRead(const Result<std::string_view>& result) {
  const auto self = shared_from_this();
  reading_ = false;
  if (!result.ok()) {
    ClientGone(result.status(), /*later=*/false);
    return Close();
  }
  if (result->empty()) return OnEndOfInput();
  if (phase_ == Phase::kLingering) return ReadMore();
  input_.append(*result);
  ParseInput();
  ReadMore();
}

// A client that closes its side is taken for gone, as other servers do: a broken-off request cannot be told from a half-close. A
// handler that answers all the same is heard: the answer of a half-closed client goes out.
void Connection::OnEndOfInput() {
  input_ended_ = true;
  switch (phase_) {
    case Phase::kReading:
    case Phase::kLingering:
      return Close();
    case Phase::kHandling:
      return ClientGone(Error(Code::kCancelled, "the client closed the connection"), /*later=*/false);
    case Phase::kStreaming:
      ClientGone(Error(Code::kCancelled, "the client closed the connection"), /*later=*/false);
      return Close();
    case Phase::kWriting:
    case Phase::kClosed:
      return;
  }
}

void Connection::ParseInput() {
  size_t used = 0;
  while (phase_ == Phase::kReading) {
    const bool was_idle = parser_.state() == RequestParser::State::kIdle;
    const size_t taken = parser_.Feed(std::string_view(input_).substr(used));
    used += taken;
    const RequestParser::State state = parser_.state();
    if (was_idle && taken > 0 && requests_ > 0) {
      deadline_ns_ = core_->loop.NowNs() + core_->options.limits.head_ns;
      Schedule(deadline_ns_);
    }
    if (state == RequestParser::State::kHeadDone) {
      OnHead();
    } else if (state == RequestParser::State::kComplete) {
      OnComplete();
    } else if (state == RequestParser::State::kError) {
      OnParseError();
    } else if (taken == 0) {
      break;
    } else if (state == RequestParser::State::kBody) {
      CountBody(parser_.body_received());
    }
  }
  input_.erase(0, used);
}

void Connection::CountBody(size_t bytes) {
  core_->bodies_bytes += bytes - counted_body_;
  counted_body_ = bytes;
  if (phase_ == Phase::kReading && core_->bodies_bytes > core_->options.limits.bodies_bytes) {
    RefuseError(503, "too many large requests at once");
  }
}

void Connection::OnParseError() {
  keep_alive_ = false;
  RefuseError(parser_.error_status(), parser_.error_reason());
}

// Everything that can be decided without the body is decided here, so that a refused body is never read.
void Connection::OnHead() {
  const Request& request = parser_.request();
  ++requests_;
  ++core_->stats.requests;
  minor_version_ = request.minor_version;
  head_only_ = request.method == "HEAD";
  keep_alive_ = request.keep_alive && requests_ < core_->options.limits.requests_per_connection;
  const std::string* id = request.headers.Find("x-request-id");
  request_id_ = id != nullptr && IsRequestId(*id) ? *id : core_->NextRequestId();
  const RequestPolicy& policy = core_->options.policy;
  if (auto refusal = CheckHost(request, policy)) return Refuse(std::move(*refusal));
  SetCorsHeaders(request);
  if (auto refusal = CheckOrigin(request, policy)) return Refuse(std::move(*refusal));
  Router::Match match = core_->router.Find(request.method, request.path);
  if (match.route == nullptr) {
    if (request.method == "OPTIONS" && AnswerOptions(request, match.allow)) return;
    if (match.allow.empty()) return RefuseError(404, "there is nothing at this path");
    return Refuse({405, "this path does not offer the method", {{"Allow", match.allow}}, {}});
  }
  if (core_->draining && match.route->scope != Scope::kPublic) {
    keep_alive_ = false;
    if (core_->options.hooks.draining) return Refuse(core_->options.hooks.draining(request));
    return Refuse({503, "the server is shutting down", {{"Retry-After", "5"}}, {}});
  }
  if (core_->options.hooks.admit) {
    if (auto refusal = core_->options.hooks.admit(request, *match.route)) return Refuse(std::move(*refusal));
  }
  route_ = match.route;
  values_ = std::move(match.values);
  parser_.BeginBody(route_->body_bytes > 0 ? route_->body_bytes : core_->options.limits.parse.body_bytes);
  if (parser_.state() != RequestParser::State::kBody) return;
  if (request.expects_continue) Write("HTTP/1.1 100 Continue\r\n\r\n");
  body_begin_ns_ = core_->loop.NowNs();
  Schedule(body_begin_ns_ + kCheckNs);
}

void Connection::OnComplete() {
  CountBody(parser_.body_received());
  if (phase_ != Phase::kReading) return;  // refused
  Request request = parser_.TakeRequest();
  parser_.Reset();
  request.peer = peer_;
  request.id = request_id_;
  phase_ = Phase::kHandling;
  exchange_open_ = true;
  ++core_->stats.exchanges;
  const auto exchange = std::make_shared<Exchange>(weak_from_this(), std::move(request), std::move(values_));
  exchange_ = exchange;
  route_->handler(exchange);
}

void Connection::SetCorsHeaders(const Request& request) {
  cors_headers_.clear();
  const std::string* origin = request.headers.Find("origin");
  if (origin == nullptr || !IsAllowedOrigin(*origin, core_->options.policy)) return;
  cors_headers_ = {{"Access-Control-Allow-Origin", *origin}, {"Vary", "Origin"}};
}

bool Connection::AnswerOptions(const Request& request, const std::string& allow) {
  if (allow.empty() && request.path != "*") return false;
  Response response;
  response.status = 204;
  response.headers.push_back({"Allow", allow.empty() ? "GET, HEAD, POST, OPTIONS" : allow});
  if (!cors_headers_.empty() && request.headers.Find("access-control-request-method") != nullptr) {
    response.headers.push_back({"Access-Control-Allow-Methods", allow});
    response.headers.push_back({"Access-Control-Max-Age", "600"});
    const std::string* wanted = request.headers.Find("access-control-request-headers");
    if (wanted != nullptr) response.headers.push_back({"Access-Control-Allow-Headers", *wanted});
  }
  if (parser_.has_body()) keep_alive_ = false;
  WriteResponse(std::move(response));
  return true;
}

void Connection::Refuse(Refusal refusal) {
  ++core_->stats.refused;
  // An unread body would have to be skipped before the next request could be trusted.
  const RequestParser::State state = parser_.state();
  if (state == RequestParser::State::kError || state == RequestParser::State::kBody || parser_.has_body()) keep_alive_ = false;
  if (!refusal.body.empty()) {
    WriteResponse({refusal.status, "application/json", std::move(refusal.body), std::move(refusal.headers)});
  } else {
    WriteError(refusal.status, refusal.message, std::move(refusal.headers));
  }
}

void Connection::RefuseError(int status, std::string_view message) { Refuse({status, std::string(message), {}, {}}); }

// ---- output

bool Connection::MayKeepAlive() const { return !core_->draining && !core_->crowded && !input_ended_; }

void Connection::WriteError(int status, std::string_view message, std::vector<Headers::Field> headers) {
  ErrorText text = core_->ShapeError(status, message);
  WriteResponse({status, std::move(text.content_type), std::move(text.body), std::move(headers)});
}

void Connection::WriteResponse(Response response) {
  if (phase_ == Phase::kClosed) return;
  const auto self = shared_from_this();
  if (request_id_.empty()) request_id_ = core_->NextRequestId();
  keep_alive_ = keep_alive_ && MayKeepAlive();
  ResponseFraming framing;
  framing.keep_alive = keep_alive_;
  framing.has_length = !HasNoBody(response.status);
  framing.content_length = response.body.size();
  response.headers.insert(response.headers.end(), cors_headers_.begin(), cors_headers_.end());
  std::string bytes = RenderHead(response, framing, request_id_, core_->loop.WallNs());
  if (!head_only_ && framing.has_length) bytes.append(response.body);
  phase_ = Phase::kWriting;
  CountBody(0);
  EndExchange();
  Write(std::move(bytes));
}

void Connection::BeginStream(StreamOptions options) {
  if (phase_ == Phase::kClosed) return;
  chunked_ = minor_version_ == 1;
  keep_alive_ = keep_alive_ && chunked_ && MayKeepAlive();
  ResponseFraming framing;
  framing.keep_alive = keep_alive_;
  framing.chunked = chunked_;
  framing.has_length = false;
  Response head{options.status, std::move(options.content_type), {}, std::move(options.headers)};
  head.headers.push_back({"Cache-Control", "no-cache"});
  head.headers.insert(head.headers.end(), cors_headers_.begin(), cors_headers_.end());
  heartbeat_ = std::move(options.heartbeat);
  phase_ = Phase::kStreaming;
  CountBody(0);
  last_frame_ns_ = core_->loop.NowNs();
  if (!heartbeat_.empty()) Schedule(last_frame_ns_ + core_->options.limits.heartbeat_ns);
  Write(RenderHead(head, framing, request_id_, core_->loop.WallNs()));
}

void Connection::StreamSend(std::string_view frame) {
  if (phase_ != Phase::kStreaming || frame.empty()) return;
  last_frame_ns_ = core_->loop.NowNs();
  if (head_only_) return;
  if (unsent_bytes() > core_->options.limits.unsent_bytes) {
    ClientGone(Error(Code::kResourceExhausted, "the client reads too slowly: {} bytes are waiting", unsent_bytes()),
               /*later=*/true);
    return Abort();
  }
  std::string bytes;
  if (!chunked_) {
    bytes = frame;
  } else if (writing_) {
    return AppendChunk(frame, waiting_out_);
  } else {
    AppendChunk(frame, bytes);
  }
  Write(std::move(bytes));
}

void Connection::StreamFinish() {
  if (phase_ != Phase::kStreaming) return;
  const auto self = shared_from_this();
  phase_ = Phase::kWriting;
  EndExchange();
  if (chunked_ && !head_only_) return Write(std::string(kLastChunk));
  if (!writing_) AfterResponse();
}

void Connection::Write(std::string bytes) {
  if (writing_) {
    waiting_out_.append(bytes);
    return;
  }
  writing_ = true;
  write_unsent_ = bytes.size();
  write_progress_ns_ = core_->loop.NowNs();
  Schedule(write_progress_ns_ + kCheckNs);
  socket_->Write(std::move(bytes), [this](const Status& status) { OnWritten(status); });
}

void Connection::OnWritten(const Status& status) {
  const auto self = shared_from_this();
  writing_ = false;
  if (!status.ok()) {
    ClientGone(status, /*later=*/false);
    return Close();
  }
  if (!waiting_out_.empty()) return Write(std::exchange(waiting_out_, {}));
  if (phase_ == Phase::kWriting) AfterResponse();
}

void Connection::AfterResponse() {
  const auto self = shared_from_this();
  if (!keep_alive_ || core_->draining || input_ended_) {
    Linger();
  } else {
    phase_ = Phase::kReading;
    request_id_.clear();
    cors_headers_.clear();
    head_only_ = false;
    minor_version_ = 1;
    if (parser_.state() != RequestParser::State::kIdle) parser_.Reset();  // a refused request stopped behind its head
    deadline_ns_ = core_->loop.NowNs() + core_->options.limits.idle_ns;
    Schedule(deadline_ns_);
    ParseInput();
    ReadMore();
  }
  if (core_->on_progress) core_->on_progress();
}

// Closing with unread input would make the system reset the connection and perhaps destroy the answer on its way.
void Connection::Linger() {
  if (input_ended_) return Close();
  phase_ = Phase::kLingering;
  input_.clear();
  socket_->CloseWrite();
  deadline_ns_ = core_->loop.NowNs() + core_->options.limits.linger_ns;
  Schedule(deadline_ns_);
  ReadMore();
}

// ---- the end of a request

void Connection::EndExchange() {
  if (!std::exchange(exchange_open_, false)) return;
  --core_->stats.exchanges;
  if (core_->on_progress) core_->on_progress();
}

void Connection::ClientGone(Status why, bool later) {
  const auto exchange = exchange_.lock();
  if (!exchange_open_ || exchange == nullptr || !exchange->gone_.ok()) return;
  ++core_->stats.clients_gone;
  exchange->gone_ = std::move(why);
  auto callback = std::exchange(exchange->on_client_gone_, nullptr);
  if (callback == nullptr) return;
  if (!later) return callback(exchange->gone_);
  core_->loop.Post([callback = std::move(callback), status = exchange->gone_] { callback(status); });
}

// ---- time

void Connection::Schedule(int64_t at_ns) {
  if (phase_ == Phase::kClosed || (timer_ != kNoTimer && timer_at_ns_ <= at_ns)) return;
  core_->loop.CancelTimer(timer_);
  timer_at_ns_ = at_ns;
  timer_ = core_->loop.At(at_ns, [this] { OnTimer(); });
}

// One timer serves every limit: it looks at what applies now and sets itself anew. A time that moved into the future costs one
// wake-up.
void Connection::OnTimer() {
  const auto self = shared_from_this();
  timer_ = kNoTimer;
  const int64_t now_ns = core_->loop.NowNs();
  if (writing_) CheckWriteProgress(now_ns);
  if (phase_ == Phase::kReading) CheckReadTimes(now_ns);
  if (phase_ == Phase::kLingering) {
    if (now_ns >= deadline_ns_) return Close();
    Schedule(deadline_ns_);
  }
  if (phase_ == Phase::kStreaming && !heartbeat_.empty()) {
    if (now_ns - last_frame_ns_ >= core_->options.limits.heartbeat_ns) StreamSend(heartbeat_);
    if (phase_ == Phase::kStreaming) Schedule(last_frame_ns_ + core_->options.limits.heartbeat_ns);
  }
}

void Connection::CheckWriteProgress(int64_t now_ns) {
  const size_t unsent = socket_->unsent_bytes();
  if (unsent != write_unsent_) {
    write_unsent_ = unsent;
    write_progress_ns_ = now_ns;
  } else if (now_ns - write_progress_ns_ >= core_->options.limits.write_stall_ns) {
    ClientGone(Error(Code::kDeadlineExceeded, "the client stopped reading"), /*later=*/false);
    return Abort();
  }
  Schedule(now_ns + kCheckNs);
}

void Connection::CheckReadTimes(int64_t now_ns) {
  if (parser_.state() == RequestParser::State::kBody) {
    if (CheckBodyRate(now_ns)) return Schedule(now_ns + kCheckNs);
    return RefuseError(408, "the request body came too slowly");
  }
  if (now_ns < deadline_ns_) return Schedule(deadline_ns_);
  if (parser_.state() == RequestParser::State::kIdle) return Close();
  keep_alive_ = false;
  RefuseError(408, "the request head came too slowly");
}

bool Connection::CheckBodyRate(int64_t now_ns) {
  const ServerLimits& limits = core_->options.limits;
  const int64_t spent_ns = now_ns - body_begin_ns_;
  if (spent_ns >= limits.body_ns) return false;
  if (spent_ns < limits.body_grace_ns) return true;
  return static_cast<int64_t>(parser_.body_received()) >= spent_ns / kSecondNs * limits.body_bytes_per_second;
}

}  // namespace millrace::net
