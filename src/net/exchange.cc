#include "net/exchange.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "net/detail/connection.h"

namespace millrace::net {

Exchange::Exchange(std::weak_ptr<Connection> connection, Request request, PathValues values)
    : connection_(std::move(connection)), request_(std::move(request)), values_(std::move(values)) {}

Exchange::~Exchange() {
  if (answered_) return;
  if (const auto connection = connection_.lock()) connection->WriteError(500, "the request was dropped", {});
}

std::string_view Exchange::value(std::string_view name) const {
  const auto found = std::ranges::find(values_, name, &PathValues::value_type::first);
  return found == values_.end() ? std::string_view() : std::string_view(found->second);
}

void Exchange::Respond(Response response) {
  CHECK(!std::exchange(answered_, true), "a request is answered once");
  on_client_gone_ = nullptr;
  if (const auto connection = connection_.lock()) connection->WriteResponse(std::move(response));
}

void Exchange::Respond(int status, std::string content_type, std::string body, std::vector<Headers::Field> headers) {
  Respond({status, std::move(content_type), std::move(body), std::move(headers)});
}

void Exchange::RespondError(int status, std::string_view message, std::vector<Headers::Field> headers) {
  CHECK(!std::exchange(answered_, true), "a request is answered once");
  on_client_gone_ = nullptr;
  if (const auto connection = connection_.lock()) connection->WriteError(status, message, std::move(headers));
}

std::unique_ptr<StreamWriter> Exchange::BeginStream(StreamOptions options) {
  CHECK(!std::exchange(answered_, true), "a request is answered once");
  if (const auto connection = connection_.lock()) connection->BeginStream(std::move(options));
  return std::make_unique<StreamWriter>(shared_from_this());
}

void Exchange::OnClientGone(std::function<void(Status)> callback) {
  const auto connection = connection_.lock();
  if (!gone_.ok() && connection != nullptr) {
    connection->loop().Post([callback = std::move(callback), status = gone_] { callback(status); });
    return;
  }
  on_client_gone_ = std::move(callback);
}

bool Exchange::client_gone() const { return !gone_.ok() || connection_.expired(); }

StreamWriter::~StreamWriter() {
  if (finished_) return;
  if (const auto connection = exchange_->connection_.lock()) connection->Abort();
}

void StreamWriter::Send(std::string_view frame) {
  CHECK(!finished_, "Send after Finish");
  if (const auto connection = exchange_->connection_.lock()) connection->StreamSend(frame);
}

void StreamWriter::Finish() {
  if (std::exchange(finished_, true)) return;
  exchange_->on_client_gone_ = nullptr;
  if (const auto connection = exchange_->connection_.lock()) connection->StreamFinish();
}

bool StreamWriter::client_gone() const { return exchange_->client_gone(); }

size_t StreamWriter::unsent_bytes() const {
  const auto connection = exchange_->connection_.lock();
  return connection == nullptr ? 0 : connection->unsent_bytes();
}

void StreamWriter::OnClientGone(std::function<void(Status)> callback) { exchange_->OnClientGone(std::move(callback)); }

}  // namespace millrace::net
