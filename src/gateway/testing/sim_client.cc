#include "gateway/testing/sim_client.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace millrace::gateway::testing {
namespace {

size_t ParseNumber(std::string_view text, int base) {
  size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

// Takes chunks off; true when the last one was there.
bool Dechunk(std::string_view rest, std::string& body) {
  while (true) {
    const size_t line = rest.find("\r\n");
    if (line == std::string_view::npos) return false;
    const size_t size = ParseNumber(rest.substr(0, line), 16);
    rest.remove_prefix(line + 2);
    if (size == 0) return rest.starts_with("\r\n");
    body += rest.substr(0, size);
    if (rest.size() < size + 2) return false;
    rest.remove_prefix(size + 2);
  }
}

}  // namespace

SimClient::SimClient(net::SimLoop& loop, uint16_t port, SimClientOptions options) : loop_(&loop), options_(std::move(options)) {
  auto socket = loop.Connect({"127.0.0.1", port});
  if (!socket.ok()) {
    done_ = broken_ = true;
    return;
  }
  socket_ = *std::move(socket);
  std::string request =
      options_.method + " " + options_.path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + options_.headers;
  if (options_.method == "POST") {
    request += "Content-Type: application/json\r\nContent-Length: " + std::to_string(options_.body.size()) + "\r\n";
  }
  socket_->Write(request + "\r\n" + options_.body, [](const Status&) {});
  if (options_.leave_after_ns >= 0) {
    leave_timer_ = loop.At(loop.NowNs() + options_.leave_after_ns, [this] { Leave(); });
  }
  Read();
}

SimClient::~SimClient() {
  loop_->CancelTimer(leave_timer_);
  loop_->CancelTimer(read_timer_);
}

void SimClient::Leave() {
  if (done_) return;
  done_ = left_ = true;
  loop_->CancelTimer(read_timer_);
  socket_->Close();
}

void SimClient::Read() {
  socket_->Read([this](const Result<std::string_view>& bytes) {
    if (!bytes.ok() || bytes->empty()) {
      done_ = true;
      broken_ = !bytes.ok();
      socket_->Close();
      return;
    }
    bytes_ += *bytes;
    if (options_.leave_after_bytes > 0 && bytes_.size() >= options_.leave_after_bytes) return Leave();
    if (options_.pause_ns == 0) return Read();
    read_timer_ = loop_->At(loop_->NowNs() + options_.pause_ns, [this] { Read(); });
  });
}

Answer SimClient::Parse() const {
  Answer answer;
  const size_t end = bytes_.find("\r\n\r\n");
  if (end == std::string::npos) return answer;
  answer.head = bytes_.substr(0, end + 2);
  answer.status = static_cast<int>(ParseNumber(std::string_view(bytes_).substr(9, 3), 10));
  const std::string_view rest = std::string_view(bytes_).substr(end + 4);
  std::string lower = answer.head;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (lower.find("transfer-encoding: chunked") != std::string::npos) {
    answer.whole = Dechunk(rest, answer.body);
  } else if (const size_t at = lower.find("content-length: "); at != std::string::npos) {
    answer.body = rest;
    answer.whole = rest.size() == ParseNumber(std::string_view(lower).substr(at + 16), 10);
  }
  return answer;
}

std::vector<std::string> EventsOf(std::string_view body) {
  std::vector<std::string> events;
  size_t end;
  while ((end = body.find("\n\n")) != std::string_view::npos) {
    const std::string_view event = body.substr(0, end);
    body.remove_prefix(end + 2);
    if (event.starts_with("data: ")) events.emplace_back(event.substr(6));
  }
  return events;
}

ChatEvents ReadChatEvents(std::string_view body) {
  ChatEvents out;
  for (const std::string& event : EventsOf(body)) {
    if (out.dones > 0) out.well_formed = false;
    if (event == "[DONE]") {
      ++out.dones;
      continue;
    }
    const auto json = Json::Parse(event);
    if (!json.ok()) {
      out.well_formed = false;
      continue;
    }
    if (const Json* error = json->Find("error"); error != nullptr) {
      ++out.errors;
      if (const Json* code = error->Find("code"); code != nullptr && code->is_string()) out.error_code = code->as_string();
      continue;
    }
    if (const Json* usage = json->Find("usage"); usage != nullptr && usage->is_object()) ++out.usages;
    const Json* choices = json->Find("choices");
    if (choices == nullptr || !choices->is_array()) {
      out.well_formed = false;
      continue;
    }
    if (choices->items().empty()) continue;
    const Json& choice = choices->items()[0];
    const Json* delta = choice.Find("delta");
    if (delta == nullptr) {
      out.well_formed = false;
      continue;
    }
    if (delta->Find("role") != nullptr) ++out.roles;
    if (const Json* content = delta->Find("content"); content != nullptr) out.content += content->as_string();
    if (const Json* reason = choice.Find("finish_reason"); reason != nullptr && reason->is_string()) {
      ++out.finishes;
      out.finish_reason = reason->as_string();
    }
  }
  return out;
}

}  // namespace millrace::gateway::testing
