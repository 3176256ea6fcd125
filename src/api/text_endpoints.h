// /tokenize, /detokenize and /apply-template, in the shapes of llama.cpp's server, so that its clients work. Each takes an
// optional `model`; without one the server's first model answers.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/error.h"
#include "api/prompt_request.h"
#include "base/types.h"

namespace millrace::api {

struct TokenizeRequest {
  std::string model;
  std::string content;
  bool add_special = false;   // begin with the beginning-of-sequence token where the model has one
  bool parse_special = true;  // take the texts of control tokens as those tokens
  bool with_pieces = false;
};

struct DetokenizeRequest {
  std::string model;
  std::vector<TokenId> tokens;  // not yet held against a vocabulary
};

struct ApplyTemplateRequest {
  std::string model;
  PromptRequest prompt;
};

inline constexpr size_t kMaxDetokenizeTokens = 1U << 20;

Parsed<TokenizeRequest> ParseTokenize(std::string_view body);
Parsed<DetokenizeRequest> ParseDetokenize(std::string_view body);
Parsed<ApplyTemplateRequest> ParseApplyTemplate(std::string_view body);

// {"tokens":[1,2]}
std::string WriteTokens(const std::vector<TokenId>& tokens);
// {"tokens":[{"id":1,"piece":"Hello"},{"id":2,"piece":[195]}]}: a piece that is not UTF-8 by itself is an array of its bytes.
std::string WriteTokensWithPieces(const std::vector<std::pair<TokenId, std::string_view>>& tokens);
// {"content":"…"}
std::string WriteContent(std::string_view content);
// {"prompt":"…"}
std::string WritePrompt(std::string_view prompt);

}  // namespace millrace::api
