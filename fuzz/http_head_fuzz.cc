// Request heads. The first two bytes choose where the rest is cut; the verdict must be that of the uncut bytes, and a head that our
// framing check lets through must be one that the second parser reads in the same way.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "net/request_parser.h"
#include "net/request_policy.h"

namespace {

using millrace::net::RequestParser;
using State = RequestParser::State;

// Feeds until the head is decided; pieces have 1 to `most` bytes, chosen by a small generator.
RequestParser FeedHead(std::string_view bytes, uint32_t state, size_t most, size_t& used) {
  RequestParser parser;
  size_t given = 0;
  used = 0;
  while (given < bytes.size() && parser.state() != State::kHeadDone && parser.state() != State::kError) {
    state = state * 1664525U + 1013904223U;
    given = std::min(bytes.size(), given + 1 + (state >> 16) % most);
    used += parser.Feed(bytes.substr(used, given - used));
  }
  return parser;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  size_t whole_used = 0;
  size_t cut_used = 0;
  const RequestParser whole = FeedHead(bytes, 0, 1, whole_used);
  const RequestParser cut = FeedHead(bytes, data[0] * 256U + data[1], 1U + data[1] * 16U, cut_used);
  CHECK(whole.state() == cut.state(), "the verdict depends on the cut");
  CHECK(whole.error_status() == cut.error_status(), "the status depends on the cut");
  CHECK(whole.error_reason() == cut.error_reason(), "the reason depends on the cut");
  CHECK(whole.error_reason() != "ambiguous request head", "the two parsers disagree about a head that passed the framing check");
  if (whole.state() != State::kHeadDone) return 0;
  CHECK(whole_used == cut_used, "the end of the head depends on the cut");
  const auto& request = whole.request();
  CHECK(request.path == cut.request().path && request.query == cut.request().query, "the target depends on the cut");
  CHECK(request.headers.fields().size() == cut.request().headers.fields().size(), "the headers depend on the cut");
  std::string decoded;
  CHECK(millrace::net::PercentDecode(request.path, decoded), "an accepted path decodes");
  CHECK(decoded.find('\0') == std::string::npos && decoded.find('\n') == std::string::npos, "no NUL or LF in an accepted path");
  for (const auto& field : request.headers.fields()) {
    CHECK(field.value.find_first_of("\r\n") == std::string::npos, "no line end in an accepted header");
  }
  (void)millrace::net::CheckHost(request, {});
  (void)millrace::net::CheckOrigin(request, {});
  return 0;
}
