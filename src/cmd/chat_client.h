// One conversation with a server, as `run` holds it: sends the messages, hands out the answer's text as it comes.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "cmd/http_client.h"

namespace millrace::cmd {

struct ChatOptions {
  std::string model;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<uint64_t> seed;
  std::optional<uint32_t> max_tokens;
};

struct ChatAnswer {
  std::string text;
  Json timings;               // of the server; null when the answer was cut
  double first_token_ms = 0;  // as seen here
  bool interrupted = false;
};

// `on_text` gets each piece; `stop` ends the answer early when it returns true.
Result<ChatAnswer> AskChat(const HttpClient& client, const ChatOptions& options, const Json::Array& messages,
                           const std::function<void(std::string_view)>& on_text, const std::function<bool()>& stop);

// Of an answer that is over. "120 tokens, 312.4 tok/s, 30.2 GB/s = 87 % of the roof (34.6 GB/s), first token after 12 ms"
std::string FiguresLine(const ChatAnswer& answer, double roof_gb_s);

}  // namespace millrace::cmd
