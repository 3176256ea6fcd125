// Server-sent events on a stream. The frame of a token is rendered once per stream as two halves; sending a token costs the
// escaping of its text and one append.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/exchange.h"

namespace millrace::net {

// "event: NAME\ndata: DATA\n\n"; no event line when `name` is empty. Line breaks in `data` become further data lines.
void AppendSseEvent(std::string_view name, std::string_view data, std::string& out);

class SseWriter {
 public:
  explicit SseWriter(std::unique_ptr<StreamWriter> stream) : stream_(std::move(stream)) {}

  // What stands before and after the delta's text inside one data line, as JSON: {"choices":[{"delta":{"content":"  and  "}}]}.
  // Neither half may hold a line break (CHECK).
  void SetFrame(std::string_view prefix, std::string_view suffix, std::string_view event_name = {});
  void Send(std::string_view delta);                             // SetFrame first; the delta is JSON-escaped here
  void SendEvent(std::string_view name, std::string_view data);  // any other event
  void SendDone();                                               // data: [DONE]
  void Finish();

  StreamWriter& stream() { return *stream_; }

 private:
  std::unique_ptr<StreamWriter> stream_;
  std::string frame_;  // begins with the prefix always; reused
  size_t prefix_bytes_ = 0;
  std::string suffix_;
};

}  // namespace millrace::net
