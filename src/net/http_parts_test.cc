// Router, policy, response heads, addresses, event frames: the parts without a loop.
#include <gtest/gtest.h>

#include <string>

#include "net/address.h"
#include "net/http_request.h"
#include "net/request_policy.h"
#include "net/response.h"
#include "net/router.h"
#include "net/sse.h"

namespace millrace::net {
namespace {

Handler Nothing() {
  return [](const std::shared_ptr<Exchange>&) {};
}

Router TestRouter() {
  return Router({{"GET", "/", Scope::kPublic, Nothing()},
                 {"GET", "/v1/models", Scope::kInference, Nothing()},
                 {"GET", "/v1/models/{id}", Scope::kInference, Nothing()},
                 {"DELETE", "/v1/models/{id}", Scope::kAdmin, Nothing()},
                 {"POST", "/v1/chat/completions", Scope::kInference, Nothing()},
                 {"GET", "/files/{name*}", Scope::kAdmin, Nothing()}});
}

TEST(Router, FindsRoutes) {
  const Router router = TestRouter();
  EXPECT_EQ(router.Find("GET", "/").route->pattern, "/");
  EXPECT_EQ(router.Find("GET", "/v1/models").route->pattern, "/v1/models");
  EXPECT_EQ(router.Find("HEAD", "/v1/models").route->pattern, "/v1/models");
  EXPECT_EQ(router.Find("POST", "/v1/chat/completions").route->scope, Scope::kInference);
  const Router::Match model = router.Find("GET", "/v1/models/org%2Fname%20x");
  ASSERT_NE(model.route, nullptr);
  EXPECT_EQ(model.values, (PathValues{{"id", "org/name x"}}));
  EXPECT_EQ(router.Find("GET", "/files/a/b%2Fc").values, (PathValues{{"name", "a/b/c"}}));
}

TEST(Router, TellsNotFoundFromNotAllowed) {
  const Router router = TestRouter();
  for (const char* path : {"/v1", "/v1/models/", "/v1/models/a/b", "//", "/V1/models", "/v1/models//", "/files/", "*", ""}) {
    const Router::Match match = router.Find("GET", path);
    EXPECT_EQ(match.route, nullptr) << path;
    EXPECT_EQ(match.allow, "") << path;
  }
  EXPECT_EQ(router.Find("PUT", "/v1/models/x").route, nullptr);
  EXPECT_EQ(router.Find("PUT", "/v1/models/x").allow, "GET, HEAD, DELETE, OPTIONS");
  EXPECT_EQ(router.Find("GET", "/v1/chat/completions").allow, "POST, OPTIONS");
  EXPECT_EQ(router.Find("HEAD", "/v1/chat/completions").route, nullptr);
}

TEST(RouterDeathTest, RefusesTablesThatCannotWork) {
  EXPECT_DEATH(Router({{"GET", "v1", Scope::kPublic, Nothing()}}), "begins with");
  EXPECT_DEATH(Router({{"GET", "/a", Scope::kPublic, Nothing()}, {"GET", "/a", Scope::kAdmin, Nothing()}}), "twice");
  EXPECT_DEATH(Router({{"GET", "/{}", Scope::kPublic, Nothing()}}), "not empty");
  EXPECT_DEATH(Router({{"GET", "/{a*}/b", Scope::kPublic, Nothing()}}), "last segment");
}

Request WithHeaders(std::string method, std::initializer_list<Headers::Field> fields) {
  Request request;
  request.method = std::move(method);
  request.path = "/";
  for (const auto& field : fields) request.headers.Add(field.name, field.value);
  return request;
}

int HostVerdict(const std::string& host) {
  RequestPolicy policy;
  policy.host_names = {"llm.example.org"};
  const auto refusal = CheckHost(WithHeaders("GET", {{"Host", host}}), policy);
  return refusal ? refusal->status : 0;
}

TEST(RequestPolicy, AllowsHostsThatCannotBeRebound) {
  for (const char* host :
       {"127.0.0.1", "127.0.0.1:8080", "192.168.1.7:80", "[::1]", "[::1]:8080", "[fe80::1]:1", "localhost", "LOCALHOST:65535",
        "localhost.", "a.localhost", "printer.local:80", "llm.example.org", "LLM.Example.org:443"}) {
    EXPECT_EQ(HostVerdict(host), 0) << host;
  }
  for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "xlocalhost", "local",
                           "llm.example.org.evil", "x.llm.example.org", "0x7f.1", "2130706433"}) {
    EXPECT_EQ(HostVerdict(host), 403) << host;
  }
  for (const char* host : {"", ":80", "user@localhost", "localhost:", "localhost:80:90", "localhost:x", "localhost/", "[::1",
                           "[evil]", "::1", "local host", ".localhost", "localhost:123456", "a,b", "[::1]x", "\xC3\xA9.local"}) {
    EXPECT_EQ(HostVerdict(host), 400) << host;
  }
  EXPECT_EQ(CheckHost(WithHeaders("GET", {}), {})->status, 400);
  EXPECT_EQ(CheckHost(WithHeaders("GET", {{"Host", "a.local"}, {"Host", "a.local"}}), {})->status, 400);
}

struct OriginCase {
  const char* name;
  const char* method;
  std::initializer_list<Headers::Field> headers;
  int status;
};

TEST(RequestPolicy, RefusesWhatABrowserWasTrickedInto) {
  RequestPolicy policy;
  policy.origins = {"https://app.example"};
  const Headers::Field host{"Host", "127.0.0.1:8080"};
  const Headers::Field json{"Content-Type", "application/json"};
  const Headers::Field foreign{"Origin", "https://evil.example"};
  const Headers::Field cross{"Sec-Fetch-Site", "cross-site"};
  const OriginCase cases[] = {
      {"curl with json", "POST", {host, json}, 0},
      {"curl without a type", "POST", {host}, 0},
      {"json with charset", "POST", {host, {"Content-Type", "Application/JSON; charset=utf-8"}}, 0},
      {"form type", "POST", {host, {"Content-Type", "application/x-www-form-urlencoded"}}, 415},
      {"text type", "POST", {host, {"Content-Type", "text/plain"}}, 415},
      {"json-like type", "POST", {host, {"Content-Type", "application/jsonx"}}, 415},
      {"type twice", "POST", {host, json, {"Content-Type", "text/plain"}}, 400},
      {"foreign origin", "POST", {host, json, foreign}, 403},
      {"foreign origin reading", "GET", {host, foreign}, 0},
      {"null origin", "POST", {host, json, {"Origin", "null"}}, 403},
      {"two origins", "POST", {host, json, foreign, {"Origin", "https://app.example"}}, 400},
      {"configured origin", "POST", {host, json, {"Origin", "https://app.example"}}, 0},
      {"configured origin, cross-site", "POST", {host, json, {"Origin", "https://app.example"}, cross}, 0},
      {"configured origin without type", "POST", {host, {"Origin", "https://app.example"}}, 415},
      {"origin that only begins alike", "POST", {host, json, {"Origin", "https://app.example.evil"}}, 403},
      {"same origin", "POST", {host, json, {"Origin", "http://127.0.0.1:8080"}}, 0},
      {"same host, other port", "POST", {host, json, {"Origin", "http://127.0.0.1:9000"}}, 403},
      {"same origin without type", "POST", {host, {"Origin", "http://127.0.0.1:8080"}}, 415},
      {"cross-site post", "POST", {host, json, cross}, 403},
      {"cross-site get", "GET", {host, cross}, 403},
      {"cross-site in capitals", "GET", {host, {"Sec-Fetch-Site", "Cross-Site"}}, 403},
      {"same-site", "GET", {host, {"Sec-Fetch-Site", "same-origin"}}, 0},
      {"delete without type", "DELETE", {host}, 0},
      {"delete from elsewhere", "DELETE", {host, foreign}, 403},
  };
  for (const OriginCase& c : cases) {
    const auto refusal = CheckOrigin(WithHeaders(c.method, c.headers), policy);
    EXPECT_EQ(refusal ? refusal->status : 0, c.status) << c.name;
  }
}

TEST(RequestPolicy, KnowsWhatCanBeConfigured) {
  for (const char* origin : {"https://app.example", "http://localhost:3000", "http://[::1]:8080", "chrome-extension://abcdef",
                             "https://app.example:80", "http://127.0.0.1"}) {
    EXPECT_TRUE(IsOrigin(origin)) << origin;
  }
  for (const char* origin : {"", "bad", "*", "null", "app.example", "https://", "://app.example", "https://app.example/",
                             "https://App.example", "https://app.example:443", "http://app.example:80", "https://a b",
                             "https://user@app.example", "1http://app.example", "https://*.example", "https://app.example:x"}) {
    EXPECT_FALSE(IsOrigin(origin)) << origin;
  }
  for (const char* name : {"llm.example.org", "LLM", "127.0.0.1"}) EXPECT_TRUE(IsHostName(name)) << name;
  for (const char* name : {"", "llm:80", "http://llm", "[::1]", "a b", "*"}) EXPECT_FALSE(IsHostName(name)) << name;
}

TEST(Response, RendersHeads) {
  Response response;
  response.headers = {{"X-A", "b"}, {"Bad\r\nName", "x"}, {"X-Split", "a\r\nSet-Cookie: x"}};
  ResponseFraming framing;
  framing.content_length = 12;
  EXPECT_EQ(
      RenderHead(response, framing, "id-1", 784111777'000'000'000),
      "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: keep-alive\r\nX-Content-Type-Options: nosniff\r\n"
      "x-request-id: id-1\r\nContent-Type: application/json\r\nContent-Length: 12\r\nX-A: b\r\n\r\n");
}

TEST(Response, KnowsTheCalendar) {
  EXPECT_EQ(HttpDate(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(HttpDate(951782400'000'000'000), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(HttpDate(4107542399'000'000'000), "Sun, 28 Feb 2100 23:59:59 GMT");
  EXPECT_EQ(HttpDate(4107542400'000'000'000), "Mon, 01 Mar 2100 00:00:00 GMT");
  EXPECT_EQ(HttpDate(1798761599'000'000'000), "Thu, 31 Dec 2026 23:59:59 GMT");
}

TEST(Response, RendersChunks) {
  std::string out;
  AppendChunk("hello", out);
  AppendChunk(std::string(26, 'x'), out);
  EXPECT_EQ(out, "5\r\nhello\r\n1a\r\n" + std::string(26, 'x') + "\r\n");
}

TEST(Address, ParsesAndPrints) {
  EXPECT_EQ(Address::Parse("127.0.0.1:8080").value(), (Address{"127.0.0.1", 8080}));
  EXPECT_EQ(Address::Parse("[::1]:0").value(), (Address{"::1", 0}));
  EXPECT_EQ(Address::Parse("localhost:80").value().host, "127.0.0.1");
  EXPECT_EQ(Address::Parse("*:80").value().host, "0.0.0.0");
  EXPECT_EQ((Address{"::1", 7}.ToString()), "[::1]:7");
  EXPECT_EQ((Address{"10.0.0.1", 7}.ToString()), "10.0.0.1:7");
  for (const char* text : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80", "[::1]80", "host:80",
                           "1.2.3:80", "127.0.0.1:80 ", "[127.0.0.1]:80", "[]:1", ":80"}) {
    EXPECT_FALSE(Address::Parse(text).ok()) << text;
  }
}

TEST(Address, KnowsLoopback) {
  for (const char* host : {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"})
    EXPECT_TRUE((Address{host, 1}.IsLoopback())) << host;
  for (const char* host : {"0.0.0.0", "10.0.0.1", "::", "fe80::1", "::ffff:10.0.0.1", "127.evil"}) {
    EXPECT_FALSE((Address{host, 1}.IsLoopback())) << host;
  }
}

TEST(Headers, CompareWithoutCase) {
  Headers headers;
  headers.Add("Content-Type", "a");
  headers.Add("X", "b");
  headers.Add("x", "c");
  EXPECT_EQ(*headers.Find("CONTENT-TYPE"), "a");
  EXPECT_EQ(*headers.Find("x"), "b");
  EXPECT_EQ(headers.Count("X"), 2U);
  EXPECT_EQ(headers.Find("content"), nullptr);
}

TEST(PercentDecode, RefusesCutEscapes) {
  std::string out;
  EXPECT_TRUE(PercentDecode("a%20%2fb%C3%A9", out));
  EXPECT_EQ(out, "a /b\xC3\xA9");
  for (const char* text : {"%", "%2", "a%", "%g0", "%0g", "%%20"}) EXPECT_FALSE(PercentDecode(text, out)) << text;
}

TEST(Sse, FramesEvents) {
  std::string out;
  AppendSseEvent("", "{\"a\":1}", out);
  AppendSseEvent("ping", "x\ny\r\nz\rw", out);
  AppendSseEvent("", "", out);
  EXPECT_EQ(out, "data: {\"a\":1}\n\nevent: ping\ndata: x\ndata: y\ndata: z\ndata: w\n\ndata: \n\n");
}

}  // namespace
}  // namespace millrace::net
