#include "net/sse.h"

#include <algorithm>

#include "base/check.h"
#include "base/json.h"

namespace millrace::net {
namespace {

bool HasLineBreak(std::string_view text) { return text.find_first_of("\r\n") != std::string_view::npos; }

void AppendEventName(std::string_view name, std::string& out) {
  if (name.empty()) return;
  CHECK(!HasLineBreak(name), "an event name is one line");
  out.append("event: ").append(name).append("\n");
}

}  // namespace

void AppendSseEvent(std::string_view name, std::string_view data, std::string& out) {
  AppendEventName(name, out);
  for (;;) {  // CRLF, CR and LF each end a line of the format
    const size_t end = std::min(data.find_first_of("\r\n"), data.size());
    out.append("data: ").append(data.substr(0, end)).append("\n");
    if (end == data.size()) break;
    data.remove_prefix(end + (data.substr(end).starts_with("\r\n") ? 2 : 1));
  }
  out.append("\n");
}

void SseWriter::SetFrame(std::string_view prefix, std::string_view suffix, std::string_view event_name) {
  CHECK(!HasLineBreak(prefix) && !HasLineBreak(suffix), "a frame is one data line");
  frame_.clear();
  AppendEventName(event_name, frame_);
  frame_.append("data: ").append(prefix);
  prefix_bytes_ = frame_.size();
  suffix_.assign(suffix).append("\n\n");
}

void SseWriter::Send(std::string_view delta) {
  CHECK(prefix_bytes_ > 0, "SetFrame comes before Send");
  frame_.resize(prefix_bytes_);
  AppendJsonEscaped(delta, frame_);
  frame_.append(suffix_);
  stream_->Send(frame_);
}

void SseWriter::SendEvent(std::string_view name, std::string_view data) {
  std::string event;
  AppendSseEvent(name, data, event);
  stream_->Send(event);
}

void SseWriter::SendDone() { stream_->Send("data: [DONE]\n\n"); }

void SseWriter::Finish() { stream_->Finish(); }

}  // namespace millrace::net
