// tokenizer.json and the small files beside it, parted by zero bytes: tokenizer, tokenizer_config, special_tokens_map, generation_config; then a text,
// which the tokenizer encodes and decodes. What the reader lets through must be a tokenizer or be refused, and then keep every promise.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"
#include "model/tokenizer_json.h"
#include "text/decoder.h"
#include "text/tokenizer.h"

namespace {

using millrace::TokenId;
using millrace::text::Tokenizer;

constexpr uint32_t kRows = 1024;
constexpr std::string_view kFallbackText = "Hello <|im_end|> 42 na\xC3\xAFve \xE5\x8C\x97\xF0\x9F\x99\x82\xFF";

std::string_view TakePart(std::string_view& rest) {
  const size_t end = rest.find('\0');
  const std::string_view part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return part;
}

void CheckTokenizer(const Tokenizer& tokenizer, std::string_view text, bool parse_special) {
  const auto tokens = tokenizer.Encode(text, {.add_prefix = true, .add_suffix = true, .parse_special = parse_special});
  if (!tokens.ok()) {
    CHECK(!tokens.status().message().empty(), "an error says why");
    return;
  }
  for (const TokenId token : *tokens) CHECK(tokenizer.vocabulary().Contains(token), "tokens are of the vocabulary");
  const std::string whole = tokenizer.Decode(*tokens, parse_special);
  CHECK(millrace::Utf8IsValid(whole), "decoded text is well-formed");
  millrace::text::IncrementalDecoder decoder(tokenizer.vocabulary(), parse_special);
  std::string parts;
  for (const TokenId token : *tokens) parts += decoder.Feed(token);
  parts += decoder.Flush();
  CHECK(parts == whole, "token by token is the same as at once");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::array<millrace::model::NamedFile, 4> files;
  constexpr std::array<std::string_view, 4> kNames = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                                                      "generation_config.json"};
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string_view part = TakePart(rest);
    if (i == 0 || !part.empty()) files[i] = {kNames[i], std::as_bytes(std::span(part))};
  }
  const auto rows = size % 2 == 0 ? std::optional(kRows) : std::nullopt;
  auto spec = millrace::model::TokenizerSpecFromJson({files[0], files[1], files[2], files[3]}, nullptr, rows);
  if (!spec.ok()) {
    CHECK(!spec.status().message().empty(), "an error says why");
    return 0;
  }
  CHECK(!rows || (spec->tokens.size() == *rows && spec->token_types.size() == *rows), "one text and one type for each row");
  const auto tokenizer = Tokenizer::Create(*spec);
  if (!tokenizer.ok()) return 0;
  for (const bool parse_special : {false, true}) CheckTokenizer(**tokenizer, rest.empty() ? kFallbackText : rest, parse_special);
  return 0;
}
