// Bytes to Request, strictly: a message has one unambiguous framing or it is refused. Our own framing check reads every byte
// first; a head that passes is then given to Boost.Beast's parser, and where the two disagree the request is refused.
//
// Refused with 400, besides what the HTTP grammar excludes: a line end other than CRLF, folded headers, blanks before the colon,
// Content-Length together with Transfer-Encoding, a repeated Content-Length or Host (also when equal), a length that is not plain
// digits, NUL, CR or LF in the decoded target, an absolute target that contradicts Host, HTTP/1.1 without Host, chunk sizes that
// are not 1 to 16 hex digits, HTTP/0.9. 501: a transfer coding other than chunked. 505: another version. 415: a compressed body.
// 417: an unknown Expect.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/http_request.h"
#include "net/limits.h"

namespace millrace::net {

// The verdict depends on the bytes only, never on how they were cut into calls.
class RequestParser {
 public:
  enum class State {
    kIdle,      // no byte of the next request seen
    kHead,      // inside the head
    kHeadDone,  // request() has all but the body; call BeginBody to go on
    kBody,
    kComplete,  // TakeRequest, then Reset
    kError,     // error_status, error_reason; nothing after this point of the stream can be trusted
  };

  explicit RequestParser(const ParseLimits& limits = {});
  ~RequestParser();
  RequestParser(RequestParser&&) noexcept;
  RequestParser& operator=(RequestParser&&) noexcept;

  // Takes bytes until a state is reached that needs the caller (kHeadDone, kComplete, kError); returns how many it took. What it
  // did not take must be given again later: bytes of the next request are never touched.
  size_t Feed(std::string_view bytes);

  State state() const;
  // Leaves kHeadDone, for kBody or kComplete. `body_bytes` replaces the limit for this request's body; a declared length above it
  // is 413 (kError) at once.
  void BeginBody(size_t body_bytes);

  const Request& request() const;  // from kHeadDone on
  Request TakeRequest();           // in kComplete, once
  bool has_body() const;           // from kHeadDone on: a declared length above 0, or chunked
  size_t body_received() const;    // de-chunked bytes so far

  int error_status() const;                 // 400, 408 ... in kError
  const std::string& error_reason() const;  // fixed text, never bytes of the client

  void Reset();  // for the next request on the connection

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::net
