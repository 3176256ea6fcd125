#include "text/decoder.h"

#include <gtest/gtest.h>

#include <random>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/test_vocabulary.h"
#include "text/token_text.h"

namespace millrace::text {
namespace {

TokenizerSpec ChatSpec() {
  return SmallVocabulary({{"\xE2", "\x82"}, {"\xF0", "\x9F"}, {"\xAC", "t"}, {"t", "h"}},
                         {{"<|end|>", TokenType::kControl}, {"漢<", TokenType::kUserDefined}});
}

std::shared_ptr<const Vocabulary> ChatVocabulary() { return *Vocabulary::Build(ChatSpec()); }
constexpr TokenId kEuroHead = 256;  // E2 82
constexpr TokenId kEnd = 260;

TEST(IncrementalDecoderTest, HoldsBackAnIncompleteCodePoint) {
  const auto vocabulary = ChatVocabulary();
  IncrementalDecoder decoder(*vocabulary);
  EXPECT_EQ(decoder.Feed('a'), "a");
  EXPECT_EQ(decoder.Feed(kEuroHead), "");
  EXPECT_EQ(decoder.pending_bytes(), 2U);
  EXPECT_EQ(decoder.Feed(258), "€t");
  EXPECT_EQ(decoder.pending_bytes(), 0U);
  EXPECT_EQ(decoder.Flush(), "");
}

TEST(IncrementalDecoderTest, FlushReplacesWhatStaysIncomplete) {
  const auto vocabulary = ChatVocabulary();
  IncrementalDecoder decoder(*vocabulary);
  EXPECT_EQ(decoder.Feed(kEuroHead), "");
  EXPECT_EQ(decoder.Flush(), "\uFFFD");
  EXPECT_EQ(decoder.Flush(), "");
  EXPECT_EQ(decoder.Feed(0xAC), "\uFFFD");  // the head is gone
}

TEST(IncrementalDecoderTest, IllFormedBytesAreReplacedAsSoonAsTheyAreKnown) {
  const auto vocabulary = ChatVocabulary();
  IncrementalDecoder decoder(*vocabulary);
  EXPECT_EQ(decoder.Feed(0xFF), "\uFFFD");
  EXPECT_EQ(decoder.Feed(kEuroHead), "");
  EXPECT_EQ(decoder.Feed('x'), "\uFFFDx");
  EXPECT_EQ(decoder.Feed(0xED), "");
  EXPECT_EQ(decoder.Feed(0xA0), "\uFFFD\uFFFD");  // half of a surrogate pair
}

TEST(IncrementalDecoderTest, ControlTokensAreHiddenUnlessAskedFor) {
  const auto vocabulary = ChatVocabulary();
  IncrementalDecoder hidden(*vocabulary);
  EXPECT_EQ(hidden.Feed(kEuroHead), "");
  EXPECT_EQ(hidden.Feed(kEnd), "");
  EXPECT_EQ(hidden.Feed(0xAC), "€");
  IncrementalDecoder shown(*vocabulary, true);
  EXPECT_EQ(shown.Feed(kEnd), "<|end|>");
  EXPECT_EQ(shown.Feed(261), "漢<");
  EXPECT_EQ(shown.Feed(-1), "");
  EXPECT_EQ(shown.Feed(5000), "");
}

// ---- Every chain against its definition over whole lists of tokens, as the package `tokenizers` works.

using Tokens = std::vector<std::string>;

std::string Join(const Tokens& tokens, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < tokens.size(); ++i) out.append(i == 0 ? "" : separator).append(tokens[i]);
  return out;
}

struct WholeList {
  Tokens tokens;

  void operator()(const ByteLevelDecoder&) {
    std::string bytes;
    for (const std::string& token : tokens) bytes += BytesFromAlphabet(token).value_or(token);
    tokens = {Utf8Sanitize(bytes)};
  }
  void operator()(const ReplaceDecoder& step) {
    for (std::string& token : tokens) token = ReplaceAll(token, step.from, step.to);
  }
  void operator()(const ByteFallbackDecoder&) {
    Tokens out;
    std::string run;
    const auto end_run = [&] {
      if (!run.empty()) out.push_back(Utf8Sanitize(run));
      run.clear();
    };
    for (const std::string& token : tokens) {
      if (const auto byte = ByteOfToken(token)) {
        run += static_cast<char>(*byte);
        continue;
      }
      end_run();
      out.push_back(token);
    }
    end_run();
    tokens = out;
  }
  void operator()(const FuseDecoder&) { tokens = {Join(tokens, "")}; }
  void operator()(const StripDecoder& step) {
    for (std::string& token : tokens) {
      size_t begin = 0;
      size_t end = token.size();
      for (size_t i = 0; i < step.start && begin < end && token[begin] == step.content[0]; ++i) ++begin;
      for (size_t i = 0; i < step.stop && begin < end && token[end - 1] == step.content[0]; ++i) --end;
      token = token.substr(begin, end - begin);
    }
  }
  void operator()(const MetaspaceDecoder& step) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = ReplaceAll(tokens[i], step.replacement, i == 0 && step.scheme != PrependScheme::kNever ? "" : " ");
    }
  }
  void operator()(const WordPieceDecoder& step) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0) token = token.starts_with(step.prefix) ? token.substr(step.prefix.size()) : std::string(1, ' ') + token;
      if (!step.clean_up) continue;
      for (const auto& [from, to] : WordPieceCleanUp()) token = ReplaceAll(token, from, to);
    }
  }
  void operator()(const SuffixDecoder& step) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = ReplaceAll(tokens[i], step.suffix, i + 1 == tokens.size() ? "" : " ");
    }
  }
};

std::string DecodeByDefinition(const TokenizerSpec& spec, const std::vector<TokenId>& ids, bool show_special) {
  WholeList list;
  for (const TokenId id : ids) {
    const auto at = static_cast<size_t>(id);
    if (show_special || spec.token_types[at] != TokenType::kControl) list.tokens.push_back(spec.tokens[at]);
  }
  for (const DecoderStep& step : spec.decoders) std::visit(list, step);
  std::string text = Join(list.tokens, spec.decoders.empty() ? " " : "");
  if (!spec.clean_up_spaces) return text;
  for (const auto& [from, to] : SpaceCleanUp()) text = ReplaceAll(text, from, to);
  return text;
}

std::vector<std::vector<DecoderStep>> Chains() {
  const ReplaceDecoder to_space{"▁", " "};
  const StripDecoder strip{" ", 1, 0};
  return {{},
          {ByteLevelDecoder{}},
          {ByteLevelDecoder{}, StripDecoder{" ", 2, 1}},
          {ByteLevelDecoder{}, ReplaceDecoder{" .", "."}, WordPieceDecoder{}},
          {to_space, ByteFallbackDecoder{}, FuseDecoder{}, strip},
          {to_space, ByteFallbackDecoder{}, FuseDecoder{}},
          {to_space, StripDecoder{" ", 0, 2}},
          {ByteFallbackDecoder{}, FuseDecoder{}, ReplaceDecoder{"▁▁", "__"}, ReplaceDecoder{"▁", " "}},
          {ByteFallbackDecoder{}, MetaspaceDecoder{}},
          {FuseDecoder{}, StripDecoder{".", 1, 3}, ReplaceDecoder{"aab", "aa"}, ReplaceDecoder{"aa", "x"}},
          {FuseDecoder{}, MetaspaceDecoder{}},
          {MetaspaceDecoder{}},
          {MetaspaceDecoder{"▁", PrependScheme::kNever}},
          {WordPieceDecoder{}},
          {WordPieceDecoder{"##", false}},
          {SuffixDecoder{}},
          {SuffixDecoder{}, FuseDecoder{}, SuffixDecoder{"."}}};
}

TokenizerSpec SpecOf(std::vector<DecoderStep> steps) {
  TokenizerSpec spec;
  spec.tokens = {"a",     "b",      "aa",     "▁",      "▁a",     "a▁",     "▁▁",     ".",      "▁.",  "'",  "n't", "##ing", "##",
                 "x</w>", "</w>",   "a</w>b", "Ġ",      "Ġa",     "Ã",      "©",      "漢",     "é",   " ",  "  ",  " .",    "do",
                 "not",   "<0xE2>", "<0x82>", "<0xAC>", "<0x61>", "<0xFF>", "<0xF0>", "<0x9F>", "<s>", "'s", " ' ", "aab"};
  spec.token_types.assign(spec.tokens.size(), TokenType::kNormal);
  spec.token_types[34] = TokenType::kControl;
  spec.decoders = std::move(steps);
  spec.model = WordLevelModel{};
  return spec;
}

// Whatever the tokens: what comes out bit by bit is the full decode, each part is whole UTF-8, and little waits.
TEST(IncrementalDecoderTest, EveryChainEqualsItsDefinition) {
  std::mt19937 random(5);
  size_t chain = 0;
  for (const auto& steps : Chains()) {
    for (const bool clean_up : {false, true}) {
      TokenizerSpec spec = SpecOf(steps);
      spec.clean_up_spaces = clean_up;
      const auto built = Vocabulary::Build(spec);
      ASSERT_TRUE(built.ok()) << built.status().ToString();
      for (int round = 0; round < 600; ++round) {
        const bool show_special = round % 2 == 0;
        IncrementalDecoder decoder(**built, show_special);
        std::vector<TokenId> ids;
        std::string text;
        for (size_t i = random() % 24; i > 0; --i) {
          ids.push_back(static_cast<TokenId>(random() % spec.tokens.size()));
          const std::string_view part = decoder.Feed(ids.back());
          ASSERT_TRUE(Utf8IsValid(part));
          ASSERT_LE(decoder.pending_bytes(), 40U);
          text += part;
        }
        text += decoder.Flush();
        ASSERT_EQ(decoder.pending_bytes(), 0U);
        ASSERT_EQ(text, DecodeByDefinition(spec, ids, show_special)) << "chain " << chain << " clean-up " << clean_up;
      }
    }
    ++chain;
  }
}

TEST(IncrementalDecoderTest, HoldsBackOnlyWhatMayChange) {
  TokenizerSpec spec = SpecOf({ReplaceDecoder{"▁", " "}, ByteFallbackDecoder{}, FuseDecoder{}, StripDecoder{" ", 1, 0}});
  const auto plain = *Vocabulary::Build(spec);
  IncrementalDecoder decoder(*plain);
  EXPECT_EQ(decoder.Feed(4), "a");  // ▁a
  EXPECT_EQ(decoder.Feed(4), " a");
  EXPECT_EQ(decoder.Feed(27), "");  // <0xE2>
  EXPECT_EQ(decoder.Feed(28), "");
  EXPECT_EQ(decoder.Feed(29), "€");
  EXPECT_EQ(decoder.Feed(3), " ");
  spec.clean_up_spaces = true;
  const auto cleaned = *Vocabulary::Build(spec);
  IncrementalDecoder cleaner(*cleaned);
  EXPECT_EQ(cleaner.Feed(4), "a");
  EXPECT_EQ(cleaner.Feed(3), "");  // a full stop may follow
  EXPECT_EQ(cleaner.pending_bytes(), 1U);
  EXPECT_EQ(cleaner.Feed(7), ".");
  EXPECT_EQ(cleaner.Feed(4), " a");
  EXPECT_EQ(cleaner.Flush(), "");
}

TEST(IncrementalDecoderTest, RowsWithoutATextAreAbsent) {
  TokenizerSpec spec = SpecOf({});
  spec.tokens.emplace_back();
  spec.token_types.push_back(TokenType::kUnused);
  const auto vocabulary = *Vocabulary::Build(spec);
  IncrementalDecoder decoder(*vocabulary);
  std::string text(decoder.Feed(0));
  text += decoder.Feed(static_cast<TokenId>(spec.tokens.size() - 1));
  text += decoder.Feed(1);
  EXPECT_EQ(text + std::string(decoder.Flush()), "a b");
}

TEST(TokenTextTest, IsThatOfTheMiddleOfAText) {
  const std::vector<DecoderStep> llama = {ReplaceDecoder{"▁", " "}, ByteFallbackDecoder{}, FuseDecoder{},
                                          StripDecoder{" ", 1, 0}};
  EXPECT_EQ(TokenText(llama, "▁the"), " the");
  EXPECT_EQ(TokenText(llama, "<0xE2>"), "\xE2");
  EXPECT_EQ(TokenText(llama, "<0xE2"), "<0xE2");
  EXPECT_EQ(TokenText({}, "the"), " the");
  EXPECT_EQ(TokenText(std::vector<DecoderStep>{MetaspaceDecoder{}}, "▁a▁"), " a ");
  EXPECT_EQ(TokenText(std::vector<DecoderStep>{WordPieceDecoder{}}, "##ing"), "ing");
  EXPECT_EQ(TokenText(std::vector<DecoderStep>{WordPieceDecoder{}}, "."), ".");
  EXPECT_EQ(TokenText(std::vector<DecoderStep>{WordPieceDecoder{"##", false}}, "."), " .");
  EXPECT_EQ(TokenText(std::vector<DecoderStep>{SuffixDecoder{}}, "the</w>"), "the ");
  EXPECT_EQ(TokenText(std::vector<DecoderStep>{ByteLevelDecoder{}}, "Ġthe"), " the");
}

TEST(CheckDecodersTest, RefusesWhatNeedsTheWholeTextAndWhatGrows) {
  const auto says = [](std::vector<DecoderStep> steps) { return CheckDecoders(steps).message(); };
  EXPECT_EQ(says({FuseDecoder{}, ByteLevelDecoder{}}),
            "decoder step 1: ByteLevel after a step that joins tokens, which would need the whole text first");
  EXPECT_EQ(says({ByteFallbackDecoder{}, WordPieceDecoder{}}),
            "decoder step 1: WordPiece after a step that joins tokens, which would need the whole text first");
  EXPECT_EQ(says({StripDecoder{"", 1, 0}}), "decoder step 0: Strip: nothing to look for");
  EXPECT_EQ(says({ReplaceDecoder{"a", std::string(60, 'b')}, ReplaceDecoder{"b", "cc"}}),
            "decoder step 1: Replace: the text may grow more than 64 times");
  EXPECT_EQ(says({ReplaceDecoder{std::string(257, 'a'), ""}}),
            "decoder step 0: Replace: a text of 257 bytes, expected at most 256");
  EXPECT_EQ(says(std::vector<DecoderStep>(17, FuseDecoder{})), "17 decoder steps, expected at most 16");
}

}  // namespace
}  // namespace millrace::text
