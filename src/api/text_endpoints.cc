#include "api/text_endpoints.h"

#include <fmt/core.h>

#include <limits>

#include "api/fields.h"
#include "base/utf8.h"

namespace millrace::api {
namespace {

ApiError UnknownParameter(std::string_view key) {
  const std::string name(key.substr(0, 64));
  ApiError error = Invalid(name, fmt::format("unknown parameter '{}'", name));
  error.code = "unknown_parameter";
  return error;
}

ApiError Missing(std::string_view param, std::string_view expected) {
  return Invalid(param, fmt::format("'{}' is missing: expected {}", param, expected));
}

std::string OneString(std::string_view key, std::string_view value) {
  std::string out = fmt::format("{{\"{}\":", key);
  AppendJsonString(value, out);
  out += '}';
  return out;
}

}  // namespace

Parsed<TokenizeRequest> ParseTokenize(std::string_view body) {
  const auto json = ParseBody(body);
  if (!json.ok()) return json.error();
  TokenizeRequest request;
  bool has_content = false;
  for (const auto& [key, value] : json->members()) {
    Complaint bad;
    if (key == "content") {
      has_content = true;
      bad = ReadString(value, key, request.content);
    } else if (key == "model") {
      bad = ReadString(value, key, request.model);
    } else if (key == "add_special") {
      bad = ReadBool(value, key, request.add_special);
    } else if (key == "parse_special") {
      bad = ReadBool(value, key, request.parse_special);
    } else if (key == "with_pieces") {
      bad = ReadBool(value, key, request.with_pieces);
    } else {
      bad = UnknownParameter(key);
    }
    if (bad) return *std::move(bad);
  }
  if (!has_content) return Missing("content", "a string");
  return request;
}

Parsed<DetokenizeRequest> ParseDetokenize(std::string_view body) {
  const auto json = ParseBody(body);
  if (!json.ok()) return json.error();
  DetokenizeRequest request;
  const Json* tokens = json->Find("tokens");
  if (tokens == nullptr) return Missing("tokens", "an array of token ids");
  for (const auto& [key, value] : json->members()) {
    if (key == "tokens") continue;
    if (key != "model") return UnknownParameter(key);
    if (auto bad = ReadString(value, key, request.model)) return *std::move(bad);
  }
  if (!tokens->is_array() || tokens->items().size() > kMaxDetokenizeTokens) {
    return Mismatch("tokens", fmt::format("an array of at most {} token ids", kMaxDetokenizeTokens), *tokens);
  }
  request.tokens.reserve(tokens->items().size());
  for (size_t i = 0; i < tokens->items().size(); ++i) {
    int64_t id = 0;
    constexpr int64_t kMaxId = std::numeric_limits<TokenId>::max();
    if (ReadInteger(tokens->items()[i], "tokens", 0, kMaxId, id)) {
      // Only a failure pays for the name of its place.
      return *ReadInteger(tokens->items()[i], fmt::format("tokens[{}]", i), 0, kMaxId, id);
    }
    request.tokens.push_back(static_cast<TokenId>(id));
  }
  return request;
}

Parsed<ApplyTemplateRequest> ParseApplyTemplate(std::string_view body) {
  const auto json = ParseBody(body);
  if (!json.ok()) return json.error();
  ApplyTemplateRequest request;
  PromptReader reader;
  for (const auto& [key, value] : json->members()) {
    Complaint bad;
    if (PromptReader::Knows(key)) {
      if (!value.is_null()) bad = reader.Read(key, value);
    } else if (key == "model") {
      bad = ReadString(value, key, request.model);
    } else {
      bad = UnknownParameter(key);
    }
    if (bad) return *std::move(bad);
  }
  if (auto bad = reader.Finish(request.prompt)) return *std::move(bad);
  return request;
}

std::string WriteTokens(const std::vector<TokenId>& tokens) {
  std::string out = "{\"tokens\":[";
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) out += ',';
    out += fmt::format("{}", tokens[i]);
  }
  out += "]}";
  return out;
}

std::string WriteTokensWithPieces(const std::vector<std::pair<TokenId, std::string_view>>& tokens) {
  std::string out = "{\"tokens\":[";
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto& [id, piece] = tokens[i];
    out += fmt::format("{}{{\"id\":{},\"piece\":", i > 0 ? "," : "", id);
    if (Utf8IsValid(piece)) {
      AppendJsonString(piece, out);
    } else {
      out += '[';
      for (const char byte : piece) {
        if (out.back() != '[') out += ',';
        out += fmt::format("{}", static_cast<unsigned char>(byte));
      }
      out += ']';
    }
    out += '}';
  }
  out += "]}";
  return out;
}

std::string WriteContent(std::string_view content) { return OneString("content", content); }
std::string WritePrompt(std::string_view prompt) { return OneString("prompt", prompt); }

}  // namespace millrace::api
