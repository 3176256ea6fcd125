// A small HTTP client for our own server, over libcurl: one request at a time, streamed replies line by line.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace millrace::cmd {

struct HttpReply {
  int status = 0;
  std::string body;  // empty for streamed replies of status 200
};

// "http://127.0.0.1:11440" of what people write for it: without a scheme, with a slash at its end, with the /v1 that other clients want.
std::string ServerUrl(std::string_view text);

class HttpClient {
 public:
  // `base` as ServerUrl makes it. `key` goes out as a bearer token unless empty.
  HttpClient(std::string_view base, std::string key) : base_(ServerUrl(base)), key_(std::move(key)) {}

  const std::string& base() const { return base_; }

  Result<HttpReply> Get(std::string_view path, int timeout_ms) const;

  // Calls `on_data` with the payload of each server-sent event ("data: …") as it arrives. Returns early with kCancelled when
  // `stop` says so; it is asked at least every 50 ms. A reply other than 200 comes back with its body and without any call.
  Result<HttpReply> PostStream(std::string_view path, const Json& body, const std::function<void(std::string_view)>& on_data,
                               const std::function<bool()>& stop) const;

 private:
  std::string base_;
  std::string key_;
};

// The text of {"error": {"message": …}}, or the body itself when it is something else.
std::string ErrorMessage(const HttpReply& reply);

}  // namespace millrace::cmd
