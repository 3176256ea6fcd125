#include "gateway/reply.h"

#include <utility>

#include "net/sse.h"

namespace millrace::gateway {
namespace {

std::vector<net::Headers::Field> FieldsOf(const std::vector<std::pair<std::string, std::string>>& headers) {
  std::vector<net::Headers::Field> fields;
  fields.reserve(headers.size());
  for (const auto& [name, value] : headers) fields.push_back({name, value});
  return fields;
}

class WholeReply final : public Reply {
 public:
  WholeReply(std::shared_ptr<net::Exchange> exchange, ReplyOptions options)
      : exchange_(std::move(exchange)), options_(std::move(options)) {
    answer_.head = options_.head;
    if (options_.logprobs) answer_.logprobs.emplace();
  }

  void Text(std::string_view text, std::vector<api::TokenScore> scores) override {
    answer_.content += text;
    if (!answer_.logprobs) return;
    for (api::TokenScore& score : scores) answer_.logprobs->push_back(std::move(score));
  }

  void Finish(std::string_view reason, const api::UsageCounts& usage, const api::Report& report) override {
    answer_.finish_reason = reason;
    answer_.usage = usage;
    answer_.report = report;
    exchange_->Respond(200, "application/json", api::WriteChat(answer_), IgnoredHeader(options_.ignored));
  }

  void Fail(const api::ApiError& error) override { RespondError(*exchange_, error); }
  void OnClientGone(std::function<void(Status)> callback) override { exchange_->OnClientGone(std::move(callback)); }

 private:
  std::shared_ptr<net::Exchange> exchange_;
  ReplyOptions options_;
  api::ChatAnswer answer_;
};

class StreamedReply final : public Reply {
 public:
  StreamedReply(const std::shared_ptr<net::Exchange>& exchange, ReplyOptions options)
      : options_(std::move(options)), chunks_(options_.head, options_.include_usage), sse_(Begin(*exchange, options_)) {
    sse_.SetFrame(chunks_.delta_prefix(), chunks_.delta_suffix());
  }

  void Text(std::string_view text, std::vector<api::TokenScore> scores) override {
    SendRole();
    if (options_.logprobs) {
      sse_.SendEvent("", chunks_.Delta(text, scores));
    } else {
      sse_.Send(text);
    }
  }

  void Finish(std::string_view reason, const api::UsageCounts& usage, const api::Report& report) override {
    SendRole();
    sse_.SendEvent("", chunks_.Finish(reason, report));
    if (options_.include_usage) sse_.SendEvent("", chunks_.Usage(usage));
    sse_.SendDone();
    sse_.Finish();
  }

  void Fail(const api::ApiError& error) override {
    sse_.SendEvent("", api::ErrorBody(error));
    sse_.SendDone();  // clients that wait for the terminator must not wait for ever
    sse_.Finish();
  }

  void OnClientGone(std::function<void(Status)> callback) override { sse_.stream().OnClientGone(std::move(callback)); }

 private:
  static std::unique_ptr<net::StreamWriter> Begin(net::Exchange& exchange, const ReplyOptions& options) {
    net::StreamOptions stream;
    stream.headers = IgnoredHeader(options.ignored);
    return exchange.BeginStream(std::move(stream));
  }

  void SendRole() {
    if (!std::exchange(role_sent_, true)) sse_.SendEvent("", chunks_.Role());
  }

  ReplyOptions options_;
  api::ChunkWriter chunks_;
  net::SseWriter sse_;
  bool role_sent_ = false;
};

}  // namespace

std::vector<net::Headers::Field> IgnoredHeader(const std::vector<std::string>& ignored) {
  if (ignored.empty()) return {};
  std::string names;
  for (const std::string& name : ignored) names += (names.empty() ? "" : ", ") + name;
  return {{"x-millrace-ignored", std::move(names)}};
}

std::unique_ptr<Reply> MakeWholeReply(std::shared_ptr<net::Exchange> exchange, ReplyOptions options) {
  return std::make_unique<WholeReply>(std::move(exchange), std::move(options));
}

std::unique_ptr<Reply> MakeStreamedReply(const std::shared_ptr<net::Exchange>& exchange, ReplyOptions options) {
  return std::make_unique<StreamedReply>(exchange, std::move(options));
}

void RespondError(net::Exchange& exchange, const api::ApiError& error) {
  exchange.Respond(error.status, "application/json", api::ErrorBody(error), FieldsOf(api::ErrorHeaders(error)));
}

}  // namespace millrace::gateway
