// Any bytes as a prompt, over small vocabularies of every kind of model. The first byte chooses the vocabulary, the second the options, the rest is
// the text. Where the steps lose nothing, decoding what was encoded gives the well-formed text back. Always: token by token is the same as at
// once, and any tokens at all decode to well-formed UTF-8.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/utf8.h"
#include "text/decoder.h"
#include "text/stop_matcher.h"
#include "text/test_vocabulary.h"
#include "text/tokenizer.h"

namespace millrace::text {
namespace {

using Steps = std::vector<PreTokenizerStep>;

constexpr std::string_view kMark = "▁";
constexpr size_t kLargestChecked = 65'536;  // longer texts are encoded for the time that it takes

struct Kind {
  std::shared_ptr<const Tokenizer> tokenizer;
  bool exact = false;  // decoding gives the text back
  bool marks = false;  // but for the space mark, which is a space then
};

std::shared_ptr<const Tokenizer> Make(const TokenizerSpec& spec) {
  const auto tokenizer = Tokenizer::Create(spec);
  CHECK(tokenizer.ok(), "the specification is ours");
  return *tokenizer;
}

PatternSplit Split(const char* pattern, SplitBehavior behavior = SplitBehavior::kIsolated) {
  return {.pattern = {.text = pattern, .is_regex = true}, .behavior = behavior};
}

void AddReplacement(TokenizerSpec& spec, const Pattern& pattern, std::string_view content) {
  auto& step = std::get<ReplaceText>(spec.normalizers.emplace_back(ReplaceText()));
  step.pattern = pattern;
  step.content = content;
}

// Byte-level BPE: every text has its tokens.
TokenizerSpec Bytes(Steps steps) {
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
  return spec;
}

void AddByteTokens(TokenizerSpec& spec) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    spec.tokens.push_back(std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">");
    spec.token_types.push_back(TokenType::kByte);
  }
}

// The tokens of models over code points: unknown and control ones first, then `texts`.
TokenizerSpec CodePoints(std::vector<std::string> texts, bool bytes) {
  TokenizerSpec spec;
  spec.tokens = {"<unk>", "<|im_start|>", "<|im_end|>", "<b>"};
  spec.token_types = {TokenType::kUnknown, TokenType::kControl, TokenType::kControl, TokenType::kUserDefined};
  spec.unk = TokenId{0};
  spec.added = {{.id = 2, .rstrip = true}, {.id = 3, .normalized = true}};
  if (bytes) AddByteTokens(spec);
  for (std::string& text : texts) spec.tokens.push_back(std::move(text));
  spec.token_types.resize(spec.tokens.size(), TokenType::kNormal);
  return spec;
}

const std::vector<std::string> kPieces = {"▁",   "t", "h", "e", "a",  "aa", "aaaa", "th", "the", "▁the", "i",     "n",       "in",
                                          "ing", "g", ".", "é", "▁▁", "1",  "12",   "北", "ß",   "s",    "▁they", "\xCC\x81"};

TokenizerSpec ScoredBpe(bool bytes, bool prefix) {
  TokenizerSpec spec = CodePoints(kPieces, bytes);
  spec.added.clear();
  ScoredBpeModel model;
  for (size_t i = 0; i < spec.tokens.size(); ++i) model.scores.push_back(-static_cast<float>(i));
  spec.model = std::move(model);
  spec.normalizers = {SentencePieceSpaces{!bytes}};
  if (prefix) spec.normalizers.emplace_back(PrependText{std::string(kMark)});
  AddReplacement(spec, {" ", false}, kMark);
  spec.decoders = {ReplaceDecoder{std::string(kMark), " "}, ByteFallbackDecoder{}, FuseDecoder{}};
  if (prefix) spec.decoders.emplace_back(StripDecoder{" ", 1, 0});
  return spec;
}

TokenizerSpec FallbackBpe(bool fuse) {
  TokenizerSpec spec = CodePoints(kPieces, !fuse);
  BpeModel model;
  for (const auto& [left, right] :
       {std::pair("t", "h"), {"th", "e"}, {"▁", "the"}, {"a", "a"}, {"aa", "aa"}, {"i", "n"}, {"▁", "▁"}}) {
    model.merges.push_back({std::string(left) + right, static_cast<uint32_t>(std::string_view(left).size())});
  }
  model.byte_fallback = !fuse;
  model.fuse_unknown = true;
  spec.model = std::move(model);
  spec.normalizers = {UnicodeForm{UnicodeForm::Form::kNfc}};
  spec.pre_tokenizers = {MetaspaceSplit{.scheme = PrependScheme::kFirst, .split = fuse}};
  spec.decoders = {MetaspaceDecoder{.scheme = PrependScheme::kFirst}};
  return spec;
}

TokenizerSpec Unigram(bool bytes) {
  TokenizerSpec spec = CodePoints(kPieces, bytes);
  UnigramModel model;
  model.byte_fallback = bytes;
  for (const std::string& token : spec.tokens) model.scores.push_back(-10.0 + static_cast<double>(token.size()));
  spec.model = std::move(model);
  spec.normalizers = {NmtNormalizer{}, UnicodeForm{UnicodeForm::Form::kNfkc}, StripSpace{}};
  AddReplacement(spec, {" {2,}", true}, " ");
  spec.pre_tokenizers = {WhitespaceSplit{}, MetaspaceSplit{}};
  spec.decoders = {MetaspaceDecoder{}};
  return spec;
}

TokenizerSpec WordPiece() {
  TokenizerSpec spec =
      CodePoints({"t", "##h", "##e", "a", "##a", "the", "##aa", "in", "##g", "北", "e", ".", "1", "##1", "##2"}, false);
  spec.model = WordPieceModel{};
  spec.normalizers = {BertNormalizer{}};
  spec.pre_tokenizers = {BertSplit{}};
  spec.decoders = {WordPieceDecoder{}};
  return spec;
}

TokenizerSpec MarkedBpe() {
  TokenizerSpec spec =
      CodePoints({"t", "h", "e", "a", "t</w>", "h</w>", "e</w>", "a</w>", "th", "the</w>", "aa", "aa</w>"}, false);
  BpeModel model;
  for (const auto& [left, right] : {std::pair("t", "h"), {"th", "e</w>"}, {"a", "a"}, {"a", "a</w>"}}) {
    model.merges.push_back({std::string(left) + right, static_cast<uint32_t>(std::string_view(left).size())});
  }
  model.end_suffix = "</w>";
  spec.model = std::move(model);
  spec.normalizers = {Lowercase{}, UnicodeForm{UnicodeForm::Form::kNfd}, StripAccents{}};
  spec.pre_tokenizers = {WordSplit{}, PunctuationSplit{SplitBehavior::kMergedWithPrevious}, DelimiterSplit{"x"}};
  spec.decoders = {SuffixDecoder{}};
  return spec;
}

TokenizerSpec Words() {
  TokenizerSpec spec = CodePoints({"the", "a", " ", "1", "in"}, false);
  spec.model = WordLevelModel{};
  spec.pre_tokenizers = {Split(R"(\w+|\s)", SplitBehavior::kMergedWithNext), DigitsSplit{},
                         Split("(?<=a)b|[^a-z]+$", SplitBehavior::kContiguous)};
  spec.clean_up_spaces = true;
  return spec;
}

constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kOther = R"(\s?[A-Za-z]+|(?:\d{1,3})(?=(?:\d{3})*\b)|(?>\s+)$|[^\s\w]+?(?!\p{P}))";

const std::vector<Kind>& Kinds() {
  static const std::vector<Kind> kinds = {
      {.tokenizer = Make(Bytes({DigitsSplit{.individual = true}, ByteLevelSplit{}})), .exact = true},
      {.tokenizer = Make(Bytes({ByteLevelSplit{}})), .exact = true},
      {.tokenizer = Make(Bytes({Split(kQwen2), ByteLevelSplit{.use_regex = false}})), .exact = true},
      {.tokenizer = Make(Bytes({Split(kOther), ByteLevelSplit{.use_regex = false}})), .exact = true},
      {.tokenizer =
           Make(Bytes({PunctuationSplit{SplitBehavior::kContiguous}, ByteLevelSplit{}, DigitsSplit{}, Split("[0-9][0-9][0-9]")})),
       .exact = true},
      {.tokenizer = Make(ScoredBpe(true, false)), .exact = true, .marks = true},
      {.tokenizer = Make(ScoredBpe(true, true))},
      {.tokenizer = Make(ScoredBpe(false, true))},
      {.tokenizer = Make(FallbackBpe(false))},
      {.tokenizer = Make(FallbackBpe(true))},
      {.tokenizer = Make(Unigram(true))},
      {.tokenizer = Make(Unigram(false))},
      {.tokenizer = Make(WordPiece())},
      {.tokenizer = Make(MarkedBpe())},
      {.tokenizer = Make(Words())},
  };
  return kinds;
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

std::string WithSpaces(std::string text) {
  for (size_t at = text.find(kMark); at != text.npos; at = text.find(kMark, at)) text.replace(at, kMark.size(), " ");
  return text;
}

void RunOne(std::string_view data) {
  if (data.size() < 2) return;
  const Kind& kind = Kinds()[static_cast<uint8_t>(data[0]) % Kinds().size()];
  const auto options = static_cast<uint8_t>(data[1]);
  const Tokenizer& tokenizer = *kind.tokenizer;
  const std::string_view text = data.substr(2);
  const bool parse_special = (options & 1) != 0, show_special = (options & 2) != 0;
  const auto tokens = tokenizer.Encode(text, {.parse_special = parse_special});
  CHECK(tokens.ok(), "all text can be encoded");
  if (text.size() > kLargestChecked) return;
  if (kind.exact) {
    const std::string clean = Utf8Sanitize(text);
    CHECK(tokenizer.Decode(*tokens, true) == (kind.marks ? WithSpaces(clean) : clean), "decoding gives the text back");
  }
  for (const TokenId token : *tokens) {
    CHECK(tokenizer.vocabulary().Contains(token), "tokens are of the vocabulary");
    CHECK(parse_special || tokenizer.vocabulary().Type(token) != TokenType::kControl, "control tokens come only when asked for");
  }
  CheckDecoding(tokenizer, *tokens, show_special);
  std::vector<TokenId> any;
  for (const char byte : text) any.push_back(static_cast<TokenId>(static_cast<uint8_t>(byte)) + (options >= 128 ? 150 : 0));
  CheckDecoding(tokenizer, any, show_special);
}

}  // namespace
}  // namespace millrace::text

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  millrace::text::RunOne({reinterpret_cast<const char*>(data), size});
  return 0;
}
