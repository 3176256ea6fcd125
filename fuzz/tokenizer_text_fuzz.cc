// Any bytes as a prompt, over a small vocabulary with all 256 bytes: decoding what was encoded gives the well-formed text back, token
// by token or at once, and any tokens at all decode to well-formed UTF-8. The first byte chooses the pre-tokenizer and the options.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"
#include "text/decoder.h"
#include "text/stop_matcher.h"
#include "text/test_vocabulary.h"
#include "text/tokenizer.h"

namespace millrace::text {
namespace {

std::shared_ptr<const Tokenizer> Make(std::vector<PreTokenizerStep> steps) {
  TokenizerSpec spec = SmallVocabulary({{"t", "h"},
                                        {"th", "e"},
                                        {" ", "the"},
                                        {"a", "a"},
                                        {"aa", "aa"},
                                        {" ", " "},
                                        {"\xE2", "\x82"},
                                        {"\xF0", "\x9F"},
                                        {"\xC3", "\xA9"},
                                        {"i", "n"},
                                        {"n", "g"},
                                        {"in", "g"},
                                        {"\n", "\n"}},
                                       {{"<|im_start|>", TokenType::kControl},
                                        {"<|im_end|>", TokenType::kControl},
                                        {"<b>", TokenType::kUserDefined},
                                        {"<b><b>", TokenType::kUserDefined}});
  spec.pre_tokenizers = std::move(steps);
  const auto tokenizer = Tokenizer::Create(spec);
  CHECK(tokenizer.ok(), "the vocabulary is ours, and the steps are known");
  return *tokenizer;
}

void CheckDecoding(const Tokenizer& tokenizer, std::span<const TokenId> tokens, bool show_special) {
  const std::string whole = tokenizer.Decode(tokens, show_special);
  CHECK(Utf8IsValid(whole), "decoded text is well-formed");
  auto stops = StopMatcher::Create({"the<b>", "\n\n\n", "é"});
  CHECK(stops.ok(), "the stop strings are ours");
  IncrementalDecoder decoder(tokenizer.vocabulary(), show_special);
  std::string parts, emitted;
  for (const TokenId token : tokens) {
    const std::string part(decoder.Feed(token));
    CHECK(Utf8IsValid(part), "each part is well-formed");
    parts += part;
    emitted += stops->Feed(part).emit;
  }
  const std::string rest(decoder.Flush());
  parts += rest;
  emitted += stops->Feed(rest).emit;
  emitted += stops->Flush();
  CHECK(parts == whole, "token by token is the same as at once");
  CHECK(whole.starts_with(emitted) && (stops->stopped() || emitted == whole), "stop strings only cut");
}

void RunOne(std::string_view data) {
  static const std::shared_ptr<const Tokenizer> tokenizers[] = {Make({DigitsSplit{.individual = true}, ByteLevelSplit{}}),
                                                                Make({ByteLevelSplit{}})};
  if (data.empty()) return;
  const auto choice = static_cast<uint8_t>(data.front());
  const Tokenizer& tokenizer = *tokenizers[choice % 2];
  const std::string_view text = data.substr(1);
  const bool parse_special = (choice & 4) != 0;
  const auto tokens = tokenizer.Encode(text, {.parse_special = parse_special});
  CHECK(tokens.ok(), "all text can be encoded");
  CHECK(tokenizer.Decode(*tokens, true) == Utf8Sanitize(text), "decoding gives the text back");
  for (const TokenId token : *tokens) {
    CHECK(parse_special || !tokenizer.vocabulary().IsControl(token), "control tokens come only when asked for");
  }
  CheckDecoding(tokenizer, *tokens, (choice & 8) != 0);
  std::vector<TokenId> any;
  for (const char byte : text) any.push_back(static_cast<TokenId>(static_cast<uint8_t>(byte)) + (choice >= 128 ? 150 : 0));
  CheckDecoding(tokenizer, any, (choice & 8) != 0);
}

}  // namespace
}  // namespace millrace::text

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  millrace::text::RunOne({reinterpret_cast<const char*>(data), size});
  return 0;
}
