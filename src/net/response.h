// Response heads as bytes. Header values from outside are never put here unchecked: AppendHeader drops what cannot stand in a
// header.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_request.h"

namespace millrace::net {

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<Headers::Field> headers;  // extra ones
};

struct ResponseFraming {
  bool keep_alive = true;
  bool chunked = false;  // else Content-Length, or neither when the end of the connection ends the body
  bool has_length = true;
  size_t content_length = 0;
};

std::string_view ReasonPhrase(int status);
std::string HttpDate(int64_t wall_ns);  // "Sun, 06 Nov 1994 08:49:37 GMT"

// Name must be a token, value free of control characters; false and nothing appended otherwise.
bool AppendHeader(std::string_view name, std::string_view value, std::string& out);

// Status line and all headers with the empty line; the standard ones (Date, Connection, x-request-id, nosniff) come first.
std::string RenderHead(const Response& response, const ResponseFraming& framing, std::string_view request_id, int64_t wall_ns);

// One chunk of the chunked coding; `data` must not be empty, an empty chunk would end the body.
void AppendChunk(std::string_view data, std::string& out);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace millrace::net
