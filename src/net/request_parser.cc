#include "net/request_parser.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "net/detail/beast_head.h"
#include "net/detail/framing.h"

namespace millrace::net {
namespace {

constexpr size_t kFirstBodyReserve = 64 << 10;  // a declared length buys no more memory than this before bytes arrive

}  // namespace

struct RequestParser::Impl {
  explicit Impl(const ParseLimits& parse_limits) : limits(parse_limits), head(parse_limits), chunks(parse_limits) {}

  void Fail(int status, std::string reason) {
    state = State::kError;
    error_status = status;
    error_reason = std::move(reason);
  }
  void FinishHead();
  size_t FeedBody(std::string_view bytes);

  const ParseLimits limits;
  State state = State::kIdle;
  detail::HeadReader head;
  detail::ChunkReader chunks;
  detail::HeadFacts facts;
  Request request;
  size_t body_limit = 0;
  int error_status = 0;
  std::string error_reason;
};

void RequestParser::Impl::FinishHead() {
  facts = head.facts();
  if (!detail::ParseHeadWithBeast(head.bytes(), facts, request)) return Fail(400, "ambiguous request head");
  std::string_view target = facts.target;
  if (const size_t scheme = target.find("://"); !target.starts_with('/') && scheme != std::string_view::npos) {
    target.remove_prefix(scheme + 3);
    target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
  }
  const size_t question = std::min(target.find('?'), target.size());
  request.path = question == 0 ? "/" : target.substr(0, question);  // "http://host?x" and "http://host" have an empty path
  request.query = target.substr(std::min(question + 1, target.size()));
  request.keep_alive = facts.keep_alive;
  request.expects_continue = facts.expects_continue && facts.minor_version == 1;
  state = State::kHeadDone;
}

size_t RequestParser::Impl::FeedBody(std::string_view bytes) {
  if (facts.chunked) {
    const size_t taken = chunks.Feed(bytes, body_limit, request.body);
    if (const detail::Fault& fault = chunks.fault()) {
      Fail(fault.status, fault.reason);
    } else if (chunks.complete()) {
      state = State::kComplete;
    }
    return taken;
  }
  const size_t part = std::min(bytes.size(), static_cast<size_t>(facts.length) - request.body.size());
  request.body.append(bytes.substr(0, part));
  if (request.body.size() == facts.length) state = State::kComplete;
  return part;
}

RequestParser::RequestParser(const ParseLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;

size_t RequestParser::Feed(std::string_view bytes) {
  if (bytes.empty()) return 0;
  if (impl_->state == State::kBody) return impl_->FeedBody(bytes);
  if (impl_->state != State::kIdle && impl_->state != State::kHead) return 0;
  const size_t taken = impl_->head.Feed(bytes);
  impl_->state = State::kHead;
  if (const detail::Fault& fault = impl_->head.fault()) {
    impl_->Fail(fault.status, fault.reason);
  } else if (impl_->head.complete()) {
    impl_->FinishHead();
  }
  return taken;
}

RequestParser::State RequestParser::state() const { return impl_->state; }

void RequestParser::BeginBody(size_t body_bytes) {
  CHECK(impl_->state == State::kHeadDone, "BeginBody follows a finished head");
  impl_->body_limit = body_bytes;
  if (impl_->facts.has_length && impl_->facts.length > body_bytes) return impl_->Fail(413, "request body too large");
  impl_->state = has_body() ? State::kBody : State::kComplete;
  if (impl_->facts.has_length) {
    impl_->request.body.reserve(std::min(static_cast<size_t>(impl_->facts.length), kFirstBodyReserve));
  }
}

const Request& RequestParser::request() const { return impl_->request; }

Request RequestParser::TakeRequest() {
  CHECK(impl_->state == State::kComplete, "no complete request to take");
  return std::move(impl_->request);
}

bool RequestParser::has_body() const { return impl_->facts.chunked || impl_->facts.length > 0; }
size_t RequestParser::body_received() const { return impl_->request.body.size(); }
int RequestParser::error_status() const { return impl_->error_status; }
const std::string& RequestParser::error_reason() const { return impl_->error_reason; }

void RequestParser::Reset() {
  const ParseLimits limits = impl_->limits;
  impl_ = std::make_unique<Impl>(limits);
}

}  // namespace millrace::net
