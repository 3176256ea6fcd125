#include "net/request_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace millrace::net {
namespace {

using State = RequestParser::State;

constexpr size_t kTestBodyBytes = 1000;

struct Outcome {
  int status = 0;  // 0 = complete, -1 = needs more
  Request request;
  size_t used = 0;
  std::string reason;
};

// Feeds `bytes` cut into pieces of `piece` bytes until the first request is decided.
Outcome Parse(std::string_view bytes, size_t piece = std::string_view::npos, const ParseLimits& limits = {}) {
  RequestParser parser(limits);
  Outcome outcome;
  std::string waiting;
  size_t given = 0;
  for (;;) {
    const size_t taken = parser.Feed(waiting);
    waiting.erase(0, taken);
    outcome.used += taken;
    if (parser.state() == State::kHeadDone) parser.BeginBody(kTestBodyBytes);
    if (parser.state() == State::kError) {
      outcome.status = parser.error_status();
      outcome.reason = parser.error_reason();
      return outcome;
    }
    if (parser.state() == State::kComplete) {
      outcome.request = parser.TakeRequest();
      return outcome;
    }
    if (!waiting.empty()) continue;  // the head ended inside the piece
    if (given == bytes.size()) {
      outcome.status = -1;
      return outcome;
    }
    waiting = bytes.substr(given, piece);
    given += waiting.size();
  }
}

std::string Get(std::string_view headers) { return "GET /x HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n"; }
std::string Post(std::string_view headers, std::string_view body) {
  return "POST /x HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n" + std::string(body);
}
std::string Chunked(std::string_view body) { return Post("Transfer-Encoding: chunked\r\n", body); }
std::string Repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out.append(text);
  return out;
}

struct Case {
  const char* name;
  std::string bytes;
  int status;  // 0 accepted, -1 needs more
};

std::vector<Case> RequestLineCases() {
  return {
      {"plain", Get(""), 0},
      {"http 1.0 without host", "GET / HTTP/1.0\r\n\r\n", 0},
      {"one empty line before", "\r\n" + Get(""), 0},
      {"two empty lines before", "\r\n\r\n" + Get(""), 400},
      {"bare LF before", "\n" + Get(""), 400},
      {"bare LF line end", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
      {"CR inside the line", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"CRCRLF", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400},
      {"http 0.9", "GET /\r\n", 400},
      {"no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"blank before version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"blank after version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
      {"tab as separator", "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"leading blank", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"method with slash", "GE/T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"odd but valid method", "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
      {"lower-case method is another method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
      {"http 2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"http 1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
      {"http 3.0", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505},
      {"version lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", 400},
      {"version with extra digit", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400},
      {"version without minor", "GET / HTTP/1\r\nHost: a\r\n\r\n", 400},
      {"version signed", "GET / HTTP/+1.1\r\nHost: a\r\n\r\n", 400},
      {"tls hello", std::string("\x16\x03\x01\x02\x00\x01", 6), 400},
      {"nothing yet", "GET / HT", -1},
      {"only a CR", "\r", -1},
  };
}

std::vector<Case> TargetCases() {
  const auto target = [](std::string_view text, std::string_view host = "a") {
    return "GET " + std::string(text) + " HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n";
  };
  return {
      {"query", target("/a?b=c&d=%20"), 0},
      {"encoded slash", target("/v1/models/a%2Fb"), 0},
      {"encoded NUL", target("/a%00b"), 400},
      {"encoded CR", target("/a%0db"), 400},
      {"encoded LF", target("/a?b=%0A"), 400},
      {"cut escape", target("/a%4"), 400},
      {"escape without hex", target("/a%zz"), 400},
      {"lone percent", target("/a?50%"), 400},
      {"fragment", target("/a#b"), 400},
      {"backslash", target("/a\\b"), 400},
      {"raw NUL", target(std::string_view("/a\0b", 4)), 400},
      {"raw DEL", target("/a\x7f"), 400},
      {"raw high byte", target("/caf\xC3\xA9"), 400},
      {"angle brackets", target("/<script>"), 400},
      {"brackets in the query", target("/a?f[]=1&g={x|y}"), 0},
      {"no slash", target("a"), 400},
      {"authority form", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 400},
      {"asterisk with GET", target("*"), 400},
      {"asterisk with OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0},
      {"absolute", target("http://a/x"), 0},
      {"absolute without path", target("http://a"), 0},
      {"absolute, query only", target("http://a?q"), 0},
      {"absolute, host in other case", target("HTTP://A/x"), 0},
      {"absolute with another host", target("http://b/x"), 400},
      {"absolute with another port", target("http://a:81/x"), 400},
      {"absolute with userinfo", target("http://u@a/x"), 400},
      {"absolute with no authority", target("http:///x"), 400},
      {"absolute with unknown scheme", target("file://a/x"), 400},
  };
}

std::vector<Case> HeaderCases() {
  return {
      {"blank before colon", Get("X : 1\r\n"), 400},
      {"tab before colon", Get("X\t: 1\r\n"), 400},
      {"no colon", Get("X\r\n"), 400},
      {"empty name", Get(": 1\r\n"), 400},
      {"name with parenthesis", Get("X(y): 1\r\n"), 400},
      {"name with high byte", Get("X\xE9: 1\r\n"), 400},
      {"empty value", Get("X:\r\n"), 0},
      {"value trimmed", Get("X: \t v \t\r\n"), 0},
      {"folded with blank", Get("X: 1\r\n 2\r\n"), 400},
      {"folded with tab", Get("X: 1\r\n\t2\r\n"), 400},
      {"first header folded", "GET / HTTP/1.1\r\n X: 1\r\nHost: a\r\n\r\n", 400},
      {"NUL in value", Get(std::string_view("X: a\0b\r\n", 8)), 400},
      {"CR in value", Get("X: a\rb\r\n"), 400},
      {"bare LF between headers", Get("X: 1\nY: 2\r\n"), 400},
      {"bell in value", Get("X: \a\r\n"), 400},
      {"DEL in value", Get("X: \x7f\r\n"), 400},
      {"UTF-8 in value", Get("X: caf\xC3\xA9\r\n"), 0},
      {"end by LF only", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"host twice, equal", Get("Host: a\r\n"), 400},
      {"host twice, other case", Get("hOST: b\r\n"), 400},
      {"connection list", Get("Connection: close , , TE\r\n"), 0},
      {"connection not a list", Get("Connection: a b\r\n"), 400},
      {"expect continue", Get("Expect: 100-Continue\r\n"), 0},
      {"expect other", Get("Expect: 200-maybe\r\n"), 417},
      {"gzip body", Post("Content-Encoding: gzip\r\nContent-Length: 1\r\n", "x"), 415},
      {"identity body", Post("Content-Encoding: identity\r\nContent-Length: 1\r\n", "x"), 0},
      {"100 headers", Get(Repeat("X: 1\r\n", 99)), 0},
      {"101 headers", Get(Repeat("X: 1\r\n", 100)), 431},
      {"request line at the limit", "GET /" + std::string(8192 - 14, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 0},
      {"request line too long", "GET /" + std::string(8192 - 13, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
      {"request line without end", "GET /" + std::string(8192, 'a'), 414},
      {"header at the limit", Get("X: " + std::string(8192 - 3, 'a') + "\r\n"), 0},
      {"header too long", Get("X: " + std::string(8192 - 2, 'a') + "\r\n"), 431},
      {"header without end", "GET / HTTP/1.1\r\nX: " + std::string(8192, 'a'), 431},
      {"head too large", Get(Repeat("X: " + std::string(4000, 'a') + "\r\n", 9)), 431},
  };
}

std::vector<Case> LengthCases() {
  return {
      {"length", Post("Content-Length: 3\r\n", "abc"), 0},
      {"length zero", Post("Content-Length: 0\r\n", ""), 0},
      {"length, body missing", Post("Content-Length: 3\r\n", "ab"), -1},
      {"length with plus", Post("Content-Length: +3\r\n", "abc"), 400},
      {"length with minus", Post("Content-Length: -3\r\n", "abc"), 400},
      {"length hex", Post("Content-Length: 0x3\r\n", "abc"), 400},
      {"length octal-looking", Post("Content-Length: 03\r\n", "abc"), 400},
      {"length empty", Post("Content-Length:\r\n", "abc"), 400},
      {"length with inner blank", Post("Content-Length: 1 1\r\n", "abc"), 400},
      {"length list, equal", Post("Content-Length: 3, 3\r\n", "abc"), 400},
      {"length twice, equal", Post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), 400},
      {"length twice, different", Post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), 400},
      {"length fraction", Post("Content-Length: 3.0\r\n", "abc"), 400},
      {"length exponent", Post("Content-Length: 1e1\r\n", "abc"), 400},
      {"length of 19 digits", Post("Content-Length: 9999999999999999999\r\n", ""), 413},
      {"length of 20 digits", Post("Content-Length: 18446744073709551616\r\n", ""), 400},
      {"length above the limit", Post("Content-Length: 1001\r\n", ""), 413},
      {"length at the limit", Post("Content-Length: 1000\r\n", std::string(1000, 'a')), 0},
      {"length with underscore is another header", Post("Content_Length: 3\r\n", ""), 0},
      {"length and chunked", Post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {"chunked and length", Post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"), 400},
      {"length zero and chunked", Post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {"GET with a body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 0},
  };
}

std::vector<Case> CodingCases() {
  return {
      {"coding gzip", Post("Transfer-Encoding: gzip\r\n", ""), 501},
      {"coding identity", Post("Transfer-Encoding: identity\r\n", ""), 501},
      {"coding upper case", Post("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n"), 0},
      {"coding gzip, chunked", Post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 400},
      {"coding chunked, identity", Post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), 400},
      {"coding chunked twice", Post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {"coding list chunked twice", Post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 400},
      {"coding quoted", Post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 400},
      {"coding with vertical tab", Post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"), 400},
      {"coding xchunked", Post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 400},
      {"coding with comma", Post("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"), 400},
      {"coding with parameter", Post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"), 400},
      {"coding empty", Post("Transfer-Encoding:\r\n", ""), 400},
      {"coding name with blank", Post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400},
      {"coding in http 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
  };
}

std::vector<Case> ChunkCases() {
  return {
      {"chunk", Chunked("3\r\nabc\r\n0\r\n\r\n"), 0},
      {"two chunks", Chunked("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"), 0},
      {"chunk leading zeros", Chunked("0003\r\nabc\r\n0000\r\n\r\n"), 0},
      {"chunk, last missing", Chunked("3\r\nabc\r\n"), -1},
      {"chunk, final CRLF missing", Chunked("0\r\n"), -1},
      {"chunk of 16 digits", Chunked("0000000000000003\r\nabc\r\n0\r\n\r\n"), 0},
      {"chunk of 17 digits", Chunked("00000000000000003\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk size -1", Chunked("-1\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk size +3", Chunked("+3\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk size 0x3", Chunked("0x3\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk size empty", Chunked("\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk size with underscore", Chunked("1_0\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk blank before size", Chunked(" 3\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk blank after size", Chunked("3 \r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk size line by LF", Chunked("3\nabc\r\n0\r\n\r\n"), 400},
      {"chunk size line by CR", Chunked("3\rabc\r\n0\r\n\r\n"), 400},
      {"chunk longer than said", Chunked("3\r\nabcd\r\n0\r\n\r\n"), 400},
      {"chunk shorter than said", Chunked("4\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk data by LF", Chunked("3\r\nabc\n0\r\n\r\n"), 400},
      {"chunk all of 64 bits", Chunked("ffffffffffffffff\r\nabc"), 413},
      {"chunk above the limit", Chunked("3e9\r\n"), 413},
      {"chunks above the limit", Chunked("3e8\r\n" + std::string(1000, 'a') + "\r\n1\r\n"), 413},
      {"chunks at the limit", Chunked("3e8\r\n" + std::string(1000, 'a') + "\r\n0\r\n\r\n"), 0},
      {"extension", Chunked("3;a=\"b\"\r\nabc\r\n0;x\r\n\r\n"), 0},
      {"extension of 256 bytes", Chunked("0;" + std::string(256, 'x') + "\r\n\r\n"), 0},
      {"extension of 257 bytes", Chunked("0;" + std::string(257, 'x') + "\r\n\r\n"), 400},
      {"extension with LF", Chunked("3;a\nabc\r\n0\r\n\r\n"), 400},
      {"extension with NUL", Chunked(std::string("3;a\0\r\nabc\r\n0\r\n\r\n", 16)), 400},
      {"extensions together too long", Chunked(Repeat("1;" + std::string(256, 'x') + "\r\na\r\n", 65)), 400},
      {"trailer", Chunked("0\r\nX: 1\r\n\r\n"), 0},
      {"trailer with length", Chunked("0\r\nContent-Length: 5\r\n\r\n"), 400},
      {"trailer with coding", Chunked("0\r\ntransfer-Encoding: chunked\r\n\r\n"), 400},
      {"trailer with host", Chunked("0\r\nHost: b\r\n\r\n"), 400},
      {"trailer folded", Chunked("0\r\nX: 1\r\n y\r\n\r\n"), 400},
      {"trailer without colon", Chunked("0\r\nX\r\n\r\n"), 400},
      {"trailer by LF", Chunked("0\r\nX: 1\n\r\n"), 400},
      {"trailers too large", Chunked("0\r\n" + Repeat("X: " + std::string(1000, 'a') + "\r\n", 9) + "\r\n"), 431},
  };
}

class Framing : public testing::TestWithParam<std::vector<Case> (*)()> {};

TEST_P(Framing, Verdicts) {
  const std::vector<Case> cases = GetParam()();
  for (const Case& c : cases) {
    const Outcome outcome = Parse(c.bytes);
    EXPECT_EQ(outcome.status, c.status) << c.name << ": " << outcome.reason;
    EXPECT_NE(outcome.reason, "ambiguous request head") << c.name << ": our own check must be the stricter one";
  }
}

TEST_P(Framing, VerdictsDoNotDependOnTheCut) {
  for (const Case& c : GetParam()()) {
    const Outcome whole = Parse(c.bytes);
    for (const size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{1000}}) {
      const Outcome cut = Parse(c.bytes, piece);
      EXPECT_EQ(cut.status, whole.status) << c.name << " in pieces of " << piece;
      EXPECT_EQ(cut.reason, whole.reason) << c.name << " in pieces of " << piece;
      if (whole.status == 0) {
        EXPECT_EQ(cut.used, whole.used) << c.name;
        EXPECT_EQ(cut.request.body, whole.request.body) << c.name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, Framing,
                         testing::Values(&RequestLineCases, &TargetCases, &HeaderCases, &LengthCases, &CodingCases, &ChunkCases));

TEST(RequestParser, FillsTheRequest) {
  const Outcome outcome = Parse(
      "POST /v1/chat%20x?a=b HTTP/1.1\r\nHost: localhost:8080\r\nX-Two: 1\r\ncontent-type:  application/json \r\nX-Two: 2\r\n"
      "Transfer-Encoding: chunked\r\n\r\n4;x=y\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\nTrail: er\r\n\r\n");
  ASSERT_EQ(outcome.status, 0) << outcome.reason;
  const Request& request = outcome.request;
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/v1/chat%20x");
  EXPECT_EQ(request.query, "a=b");
  EXPECT_EQ(request.body, "{\"a\":1}");
  EXPECT_EQ(request.headers.fields().size(), 5U);
  EXPECT_EQ(request.headers.Count("X-TWO"), 2U);
  ASSERT_NE(request.headers.Find("Content-Type"), nullptr);
  EXPECT_EQ(*request.headers.Find("Content-Type"), "application/json");
  EXPECT_EQ(request.headers.Find("trail"), nullptr);
  EXPECT_TRUE(request.keep_alive);
  EXPECT_EQ(request.minor_version, 1);
}

TEST(RequestParser, ReadsAbsoluteTargets) {
  EXPECT_EQ(Parse("GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n").request.path, "/b");
  EXPECT_EQ(Parse("GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n").request.query, "c");
  EXPECT_EQ(Parse("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n").request.path, "/");
  EXPECT_EQ(Parse("GET http://a?c HTTP/1.1\r\nHost: a\r\n\r\n").request.query, "c");
}

TEST(RequestParser, KnowsWhoKeepsTheConnection) {
  const auto keeps = [](const char* version, const char* connection) {
    return Parse("GET / HTTP/" + std::string(version) + "\r\nHost: a\r\n" + connection + "\r\n").request.keep_alive;
  };
  EXPECT_TRUE(keeps("1.1", ""));
  EXPECT_FALSE(keeps("1.1", "Connection: close\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: TE, Close\r\n"));
  EXPECT_FALSE(keeps("1.0", ""));
  EXPECT_TRUE(keeps("1.0", "Connection: Keep-Alive\r\n"));
  EXPECT_FALSE(keeps("1.0", "Connection: keep-alive, close\r\n"));
}

TEST(RequestParser, LeavesTheNextRequestAlone) {
  const std::string first = Post("Content-Length: 3\r\n", "abc");
  const Outcome outcome = Parse(first + Get(""));
  EXPECT_EQ(outcome.used, first.size());
  EXPECT_EQ(outcome.request.body, "abc");
}

TEST(RequestParser, EverySplitPointGivesTheSameRequest) {
  const std::string bytes = Chunked("3;e\r\nabc\r\n5\r\ndefgh\r\n0\r\nT: x\r\n\r\n");
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    RequestParser parser;
    size_t used = 0;
    for (const size_t end : {cut, bytes.size()}) {
      while (used < end && parser.state() != State::kComplete) {
        used += parser.Feed(std::string_view(bytes).substr(used, end - used));
        if (parser.state() == State::kHeadDone) parser.BeginBody(kTestBodyBytes);
        ASSERT_NE(parser.state(), State::kError) << parser.error_reason() << " cut at " << cut;
      }
    }
    ASSERT_EQ(parser.state(), State::kComplete) << "cut at " << cut;
    EXPECT_EQ(parser.TakeRequest().body, "abcdefgh");
    EXPECT_EQ(used, bytes.size());
  }
}

TEST(RequestParser, IsReusedAfterReset) {
  RequestParser parser;
  for (int i = 0; i < 3; ++i) {
    const std::string bytes = Post("Content-Length: 2\r\n", "ok");
    size_t used = parser.Feed(bytes);
    ASSERT_EQ(parser.state(), State::kHeadDone);
    EXPECT_TRUE(parser.has_body());
    EXPECT_EQ(parser.request().method, "POST");
    parser.BeginBody(kTestBodyBytes);
    used += parser.Feed(std::string_view(bytes).substr(used));
    ASSERT_EQ(parser.state(), State::kComplete);
    EXPECT_EQ(used, bytes.size());
    EXPECT_EQ(parser.TakeRequest().headers.fields().size(), 2U);
    parser.Reset();
    EXPECT_EQ(parser.state(), State::kIdle);
  }
}

TEST(RequestParser, TheSmallestOfTwoLimitsWinsWhateverTheCut) {
  ParseLimits limits;
  limits.request_line_bytes = 64;
  limits.head_bytes = 40;
  const std::string bytes = "GET /" + std::string(100, 'a') + " HTTP/1.1\r\n\r\n";
  EXPECT_EQ(Parse(bytes, std::string::npos, limits).status, 431);
  EXPECT_EQ(Parse(bytes, 1, limits).status, 431);
}

}  // namespace
}  // namespace millrace::net
