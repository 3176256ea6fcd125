// Request bodies. The first byte chooses the framing (chunked or a declared length), the second where the body is cut. The verdict must be
// that of the uncut bytes, and an accepted body must be the one that the oracle parser reads.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "net/beast_oracle.h"
#include "net/request_parser.h"

namespace {

using millrace::net::RequestParser;
using State = RequestParser::State;
constexpr size_t kBodyLimit = 4096;

RequestParser Feed(std::string_view bytes, uint32_t state, size_t most, size_t& used) {
  RequestParser parser;
  size_t given = 0;
  used = 0;
  while (used < bytes.size() && parser.state() != State::kComplete && parser.state() != State::kError) {
    if (parser.state() == State::kHeadDone) parser.BeginBody(kBodyLimit);
    if (used == given) {
      state = state * 1664525U + 1013904223U;
      given = std::min(bytes.size(), given + 1 + (state >> 16) % most);
    }
    used += parser.Feed(bytes.substr(used, given - used));
  }
  if (parser.state() == State::kHeadDone) parser.BeginBody(kBodyLimit);
  return parser;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  std::string message = "POST / HTTP/1.1\r\nHost: a\r\n";
  message += data[0] % 4 != 0 ? "Transfer-Encoding: chunked\r\n\r\n" : "Content-Length: " + std::to_string(data[0]) + "\r\n\r\n";
  message.append(reinterpret_cast<const char*>(data) + 2, size - 2);
  size_t whole_used = 0;
  size_t cut_used = 0;
  RequestParser whole = Feed(message, 0, 1U << 15, whole_used);
  RequestParser cut = Feed(message, data[1], 1U + data[1] % 32U, cut_used);
  CHECK(whole.state() == cut.state(), "the verdict depends on the cut");
  CHECK(whole.error_status() == cut.error_status(), "the status depends on the cut");
  CHECK(whole.error_reason() == cut.error_reason(), "the reason depends on the cut");
  CHECK(whole.body_received() <= kBodyLimit && cut.body_received() <= kBodyLimit, "the body stays under its limit");
  if (whole.state() != State::kComplete) return 0;
  CHECK(whole_used == cut_used, "the end of the message depends on the cut");
  const std::string body = whole.TakeRequest().body;
  CHECK(body == cut.TakeRequest().body, "the body depends on the cut");
  const millrace::net::OracleVerdict oracle = millrace::net::ReadWithBeast(std::string_view(message).substr(0, whole_used));
  // The oracle checks the grammar inside chunk extensions, which we skip unread: there it may refuse, but never read anything else.
  if (!oracle.complete && message.find(';') != std::string::npos) return 0;
  CHECK(oracle.complete && oracle.used == whole_used, "the oracle sees another end of the message");
  CHECK(oracle.body == body, "the oracle reads another body");
  return 0;
}
