// tokenizer.json and the small files beside it, parted by zero bytes: tokenizer, tokenizer_config, special_tokens_map, generation_config.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/check.h"
#include "model/tokenizer_json.h"
#include "text/tokenizer.h"

namespace {
constexpr uint32_t kVocab = 512;
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::array<millrace::model::NamedFile, 4> files;
  constexpr std::array<std::string_view, 4> kNames = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                                                      "generation_config.json"};
  for (size_t i = 0; i < files.size(); ++i) {
    const size_t end = rest.find('\0');
    const std::string_view part = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (i == 0 || !part.empty()) files[i] = {kNames[i], std::as_bytes(std::span(part))};
  }
  auto spec = millrace::model::TokenizerSpecFromJson({files[0], files[1], files[2], files[3]}, nullptr, kVocab);
  if (!spec.ok()) {
    CHECK(!spec.status().message().empty(), "an error says why");
    return 0;
  }
  CHECK(spec->tokens.size() == kVocab && spec->token_types.size() == kVocab, "one text and one type for each row");
  const auto tokenizer = millrace::text::Tokenizer::Create(*spec);
  if (!tokenizer.ok()) return 0;
  (void)(*tokenizer)->Encode("Hello <|im_end|> 42", {.parse_special = true});
  return 0;
}
