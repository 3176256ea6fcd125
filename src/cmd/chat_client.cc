#include "cmd/chat_client.h"

#include "base/clock.h"

namespace millrace::cmd {

namespace {

double Number(const Json& object, std::string_view key) {
  const Json* value = object.Find(key);
  return value != nullptr && value->is_number() ? value->as_double() : 0;
}

// choices[0].delta.content of a chunk, or null.
const Json* DeltaText(const Json& chunk) {
  const Json* choices = chunk.Find("choices");
  if (choices == nullptr || !choices->is_array() || choices->items().empty()) return nullptr;
  const Json* delta = choices->items()[0].Find("delta");
  const Json* content = delta != nullptr ? delta->Find("content") : nullptr;
  return content != nullptr && content->is_string() ? content : nullptr;
}

Json RequestBody(const ChatOptions& options, const Json::Array& messages) {
  Json body(Json::Object{{"model", Json(options.model)}, {"messages", Json(messages)}, {"stream", Json(true)}});
  if (options.temperature) body.Set("temperature", Json(*options.temperature));
  if (options.top_p) body.Set("top_p", Json(*options.top_p));
  if (options.seed) body.Set("seed", Json(*options.seed));
  if (options.max_tokens) body.Set("max_tokens", Json(uint64_t{*options.max_tokens}));
  return body;
}

}  // namespace

Result<ChatAnswer> AskChat(const HttpClient& client, const ChatOptions& options, const Json::Array& messages,
                           const std::function<void(std::string_view)>& on_text, const std::function<bool()>& stop) {
  ChatAnswer answer;
  Status failure;
  const int64_t start = MonotonicNs();
  const auto on_data = [&](std::string_view data) {
    const auto chunk = Json::Parse(data);
    if (!chunk.ok()) return;  // "[DONE]"
    if (const Json* error = chunk->Find("error"); error != nullptr) {
      failure = Error(Code::kUnavailable, "the answer ended early: {}", ErrorMessage({0, std::string(data)}));
    }
    if (const Json* text = DeltaText(*chunk); text != nullptr && !text->as_string().empty()) {
      if (answer.first_token_ms == 0) answer.first_token_ms = static_cast<double>(MonotonicNs() - start) * 1e-6;
      answer.text += text->as_string();
      on_text(text->as_string());
    }
    if (const Json* timings = chunk->Find("timings"); timings != nullptr) answer.timings = *timings;
  };
  const auto reply = client.PostStream("/v1/chat/completions", RequestBody(options, messages), on_data, stop);
  if (reply.status().code() == Code::kCancelled) {
    answer.interrupted = true;
    return answer;
  }
  RETURN_IF_ERROR(reply);
  RETURN_IF_ERROR(failure);
  if (reply->status == 404) return Error(Code::kNotFound, "{}", ErrorMessage(*reply));
  if (reply->status >= 500) return Error(Code::kUnavailable, "{}", ErrorMessage(*reply));
  if (reply->status != 200) return Error(Code::kInvalidArgument, "{}", ErrorMessage(*reply));
  return answer;
}

namespace {

// The roof is measured once, in the server's first idle moment. An answer that beats it shows that the machine's bandwidth has moved
// since, and a share above 100 % of an outdated roof would be no figure.
std::string ShareOfRoof(double gb_s, double roof) {
  if (roof <= 0) return ", roof not measured";
  if (gb_s > roof) return fmt::format(", above the roof measured earlier ({:.1f} GB/s): this machine's bandwidth moves", roof);
  return fmt::format(" = {:.0f} % of the roof ({:.1f} GB/s)", 100 * gb_s / roof, roof);
}

}  // namespace

std::string FiguresLine(const ChatAnswer& answer, double roof_gb_s) {
  if (answer.timings.is_null()) return "interrupted";
  const double gb_s = Number(answer.timings, "gb_s");
  const double roof = Number(answer.timings, "roof_gb_s") > 0 ? Number(answer.timings, "roof_gb_s") : roof_gb_s;
  std::string line = fmt::format("{:.0f} tokens, {:.1f} tok/s, {:.1f} GB/s", Number(answer.timings, "completion_tokens"),
                                 Number(answer.timings, "decode_tok_s"), gb_s);
  return line + ShareOfRoof(gb_s, roof) + fmt::format(", first token after {:.0f} ms", answer.first_token_ms);
}

}  // namespace millrace::cmd
