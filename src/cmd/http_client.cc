#include "cmd/http_client.h"

#include <curl/curl.h>

#include <memory>

namespace millrace::cmd {

namespace {

// Replies of our own server are small; more than this is somebody else's server.
constexpr size_t kMaxReplyBytes = size_t{16} << 20;

struct Transfer {
  CURL* easy = nullptr;
  std::string body;
  std::string line;  // of the event stream, not complete yet
  const std::function<void(std::string_view)>* on_data = nullptr;
  bool too_large = false;

  void FeedStream(std::string_view bytes) {
    for (const char c : bytes) {
      if (c != '\n') {
        line += c;
        continue;
      }
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (line.rfind("data: ", 0) == 0) (*on_data)(std::string_view(line).substr(6));
      line.clear();
    }
  }
};

size_t OnBytes(char* bytes, size_t, size_t size, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  long status = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
  if (transfer->on_data != nullptr && status == 200) {
    transfer->FeedStream({bytes, size});
  } else {
    transfer->body.append(bytes, size);
  }
  transfer->too_large = transfer->body.size() > kMaxReplyBytes || transfer->line.size() > kMaxReplyBytes;
  return transfer->too_large ? 0 : size;
}

// Drives one transfer; `stop` may be empty.
CURLcode Drive(CURL* easy, const std::function<bool()>& stop, bool* stopped) {
  const std::unique_ptr<CURLM, CURLMcode (*)(CURLM*)> multi(curl_multi_init(), curl_multi_cleanup);
  curl_multi_add_handle(multi.get(), easy);
  CURLcode result = CURLE_FAILED_INIT;  // unless the transfer says how it went
  int running = 1;
  while (running != 0) {
    if (curl_multi_perform(multi.get(), &running) != CURLM_OK) break;
    if (running != 0) curl_multi_poll(multi.get(), nullptr, 0, 50, nullptr);
    if (stop && stop()) {
      *stopped = true;
      break;
    }
  }
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
    if (message->msg == CURLMSG_DONE) result = message->data.result;
  }
  curl_multi_remove_handle(multi.get(), easy);
  return result;
}

Result<HttpReply> Perform(const std::string& url, const std::string& key, const std::string* body, int timeout_ms,
                          Transfer& transfer, const std::function<bool()>& stop) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, void (*)(CURL*)> easy(ready == CURLE_OK ? curl_easy_init() : nullptr, curl_easy_cleanup);
  if (!easy) return Error(Code::kInternal, "libcurl does not start");
  transfer.easy = easy.get();
  curl_slist* list = nullptr;
  if (body != nullptr) list = curl_slist_append(list, "Content-Type: application/json");
  if (!key.empty()) list = curl_slist_append(list, ("Authorization: Bearer " + key).c_str());
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(list, curl_slist_free_all);
  curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_PROXY, "");
  curl_easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(easy.get(), CURLOPT_CONNECTTIMEOUT_MS, 5000L);
  curl_easy_setopt(easy.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_ms));
  curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, OnBytes);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &transfer);
  if (body != nullptr) {
    curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDS, body->c_str());
    curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
  }
  bool stopped = false;
  const CURLcode code = Drive(easy.get(), stop, &stopped);
  if (stopped) return Error(Code::kCancelled, "interrupted");
  if (code != CURLE_OK) {
    return Error(Code::kUnavailable, "{}: {}", url, transfer.too_large ? "the reply is too large" : curl_easy_strerror(code));
  }
  long status = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  return HttpReply{static_cast<int>(status), std::move(transfer.body)};
}

}  // namespace

std::string ServerUrl(std::string_view text) {
  const size_t mark = text.find("://");
  const std::string scheme(mark == std::string_view::npos ? "http://" : text.substr(0, mark + 3));
  if (mark != std::string_view::npos) text.remove_prefix(mark + 3);
  while (text.ends_with('/')) text.remove_suffix(1);
  if (text.ends_with("/v1")) text.remove_suffix(3);
  while (text.ends_with('/')) text.remove_suffix(1);
  return scheme + std::string(text);
}

Result<HttpReply> HttpClient::Get(std::string_view path, int timeout_ms) const {
  Transfer transfer;
  return Perform(base_ + std::string(path), key_, nullptr, timeout_ms, transfer, nullptr);
}

Result<HttpReply> HttpClient::PostStream(std::string_view path, const Json& body,
                                         const std::function<void(std::string_view)>& on_data,
                                         const std::function<bool()>& stop) const {
  Transfer transfer;
  transfer.on_data = &on_data;
  const std::string text = body.Write();
  return Perform(base_ + std::string(path), key_, &text, 0, transfer, stop);
}

std::string ErrorMessage(const HttpReply& reply) {
  const auto json = Json::Parse(reply.body);
  if (json.ok()) {
    const Json* error = json->Find("error");
    const Json* message = error != nullptr ? error->Find("message") : nullptr;
    if (message != nullptr && message->is_string()) return message->as_string();
  }
  return reply.body.empty() ? fmt::format("HTTP status {}", reply.status) : reply.body;
}

}  // namespace millrace::cmd
