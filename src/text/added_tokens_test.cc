#include "text/added_tokens.h"

#include <gtest/gtest.h>

#include "text/normalizer_golden.h"

namespace millrace::text {
namespace {

struct Split {
  std::unique_ptr<const Normalizer> normalizer;
  std::unique_ptr<const AddedTokens> tokens;
  bool with_control = true;

  // Fragments as the golden file has them: ids, and texts with at_start.
  Json Of(std::string_view text) const {
    Json::Array out;
    const Status status = tokens->Split(text, with_control, [&out](const AddedTokens::Fragment& fragment) {
      if (fragment.token != kNoToken) {
        out.push_back(int64_t{fragment.token});
      } else {
        out.push_back(Json::Array{std::string(fragment.text), fragment.at_start});
      }
      return true;
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return Json(std::move(out));
  }
};

struct Token {
  std::string text;
  bool special = false;
  AddedToken rules = {};
};

TokenizerSpec SpecOf(const std::vector<Token>& tokens) {
  TokenizerSpec spec;
  spec.tokens = {"u"};
  spec.token_types = {TokenType::kNormal};
  for (const Token& token : tokens) {
    AddedToken rules = token.rules;
    rules.id = static_cast<TokenId>(spec.tokens.size());
    spec.added.push_back(rules);
    spec.tokens.push_back(token.text);
    spec.token_types.push_back(token.special ? TokenType::kControl : TokenType::kUserDefined);
  }
  return spec;
}

Split Make(const std::vector<NormalizerStep>& steps, const std::vector<Token>& tokens, bool with_control = true) {
  Split split;
  auto normalizer = Normalizer::Create(steps);
  EXPECT_TRUE(normalizer.ok()) << normalizer.status().ToString();
  split.normalizer = std::move(*normalizer);
  auto made = AddedTokens::Create(SpecOf(tokens), *split.normalizer);
  split.with_control = with_control;
  EXPECT_TRUE(made.ok()) << made.status().ToString();
  split.tokens = std::move(*made);
  return split;
}

TEST(AddedTokensTest, GoldenSplits) {
  size_t splits = 0;
  size_t differences = 0;
  for (const Json& golden : NormalizerGolden().Find("added")->items()) {
    std::vector<Token> tokens;
    for (const Json& token : golden.Find("tokens")->items()) {
      const auto is = [&token](const char* name) { return token.Find(name)->as_bool(); };
      tokens.push_back({token.Find("content")->as_string(),
                        is("special"),
                        {kNoToken, is("single_word"), is("lstrip"), is("rstrip"), is("normalized")}});
    }
    const Split split = Make(GoldenSteps(*golden.Find("steps")), tokens, golden.Find("with_control")->as_bool());
    for (const Json& pair : golden.Find("cases")->items()) {
      const Json got = split.Of(pair.items()[0].as_string());
      ++splits;
      if (got == pair.items()[1]) continue;
      if (++differences <= 20) {
        ADD_FAILURE() << golden.Find("tokens")->Write() << golden.Find("steps")->Write() << pair.items()[0].Write() << " gives "
                      << got.Write() << ", expected " << pair.items()[1].Write();
      }
    }
  }
  EXPECT_GT(splits, 300U);
  EXPECT_EQ(differences, 0U) << "of " << splits;
}

TEST(AddedTokensTest, TokensOfTheirTypesNeedNoListing) {
  TokenizerSpec spec;
  spec.tokens = {"<s>", "<b>", "a", "<unk>"};
  spec.token_types = {TokenType::kControl, TokenType::kUserDefined, TokenType::kNormal, TokenType::kUnknown};
  Split split;
  split.normalizer = std::move(*Normalizer::Create({}));
  split.tokens = std::move(*AddedTokens::Create(spec, *split.normalizer));
  EXPECT_EQ(split.Of("a<s><b><unk>").Write(), R"([["a",true],0,1,3])");
  split.with_control = false;
  EXPECT_EQ(split.Of("a<s><b><unk>").Write(), R"([["a<s>",true],1,["<unk>",false]])");
}

TEST(AddedTokensTest, OfEqualTextsTheLowestTokenIsFound) {
  AddedToken normalized;
  normalized.normalized = true;
  std::vector<NormalizerStep> lowercase;
  lowercase.emplace_back(Lowercase{});
  EXPECT_EQ(Make(lowercase, {{"A", false, normalized}, {"a", false, normalized}}).Of("aA").Write(), "[1,1]");
}

TEST(AddedTokensTest, PartsOfATextShareTheLimitsOfNormalizing) {
  ReplaceText longer;
  longer.pattern.text = "a";
  longer.content.assign(1000, 'b');
  ReplaceText costly;
  costly.pattern = {"(?>(?:ab|a)+)c", true};
  const auto parts_taken = [](const ReplaceText& step, const std::string& part) {
    const Split split = Make({step}, {{"x"}});
    std::string text;
    for (int i = 0; i < 100; ++i) text += part + "x";
    int parts = 0;
    const Status status = split.tokens->Split(text, true, [&parts](const AddedTokens::Fragment& fragment) {
      parts += fragment.token == kNoToken ? 1 : 0;
      return true;
    });
    EXPECT_EQ(status.code(), Code::kResourceExhausted);
    return parts;
  };
  EXPECT_EQ(parts_taken(longer, "a"), 1);
  const int parts = parts_taken(costly, std::string(400, 'a'));
  EXPECT_GT(parts, 0);
  EXPECT_LT(parts, 100);
}

TEST(AddedTokensTest, StopsWhenTold) {
  const Split split = Make({}, {{"x"}});
  int calls = 0;
  ASSERT_TRUE(split.tokens->Split("axbxc", true, [&calls](const AddedTokens::Fragment&) { return ++calls < 2; }).ok());
  EXPECT_EQ(calls, 2);
}

// Texts are read window by window.
TEST(AddedTokensTest, LongTextsAreCutAsShortOnes) {
  const Split split = Make({}, {{"ab"}, {"abcd"}, {"bc"}, {std::string(30'000, 'x')}});
  for (size_t before = 16'380; before < 16'390; ++before) {
    Json::Array expected = {Json::Array{std::string(before, '-'), true}, int64_t{2}, int64_t{1}, int64_t{4}, int64_t{3}};
    EXPECT_EQ(split.Of(std::string(before, '-').append("abcdab").append(30'000, 'x').append("bc")), Json(std::move(expected)));
  }
}

TEST(AddedTokensTest, HostileTextsTakeLinearWork) {
  constexpr size_t kSize = 1'000'000;
  const std::string many(kSize, 'a');
  const std::string spaces(kSize, ' ');
  const Split overrun = Make({}, {{"a"}, {std::string(100'000, 'a').append("b")}});
  EXPECT_EQ(overrun.Of(many).items().size(), kSize);
  const std::string part(100'000, 'a');
  const Split never = Make({}, {{part + "b"}, {std::string("b").append(part)}});
  EXPECT_EQ(never.Of(many).items().size(), 1U);
  const Split strips = Make({}, {{" ", false, {kNoToken, false, true, true, false}}});
  EXPECT_EQ(strips.Of(spaces).items().size(), 1U);
  const Split left = Make({}, {{"x", false, {kNoToken, true, true, false, false}}});
  EXPECT_EQ(left.Of(spaces + "x").Write(), "[1]");
  EXPECT_EQ(left.Of(many + "x" + spaces).items().size(), 1U);
}

TEST(AddedTokensTest, RefusesWhatTheVocabularyDoesNotBear) {
  const auto normalizer = std::move(*Normalizer::Create(std::vector<NormalizerStep>{Lowercase{}, StripAccents{}}));
  const auto refusal = [&normalizer](const TokenizerSpec& spec) {
    const auto made = AddedTokens::Create(spec, *normalizer);
    return made.ok() ? std::string() : made.status().message();
  };
  AddedToken normalized;
  normalized.normalized = true;
  EXPECT_NE(refusal(SpecOf({{"\u0301", false, normalized}})).find("nothing is left of it"), std::string::npos);
  EXPECT_NE(refusal(SpecOf({{""}})).find("has no text"), std::string::npos);
  TokenizerSpec spec = SpecOf({{"a"}});
  std::vector<Token> many;
  for (size_t i = 0; i <= kMaxAddedTokenBytes / 1024; ++i) many.push_back({std::to_string(1'000'000 + i).append(1017, 'x')});
  EXPECT_EQ(refusal(SpecOf(many)), "added token 4097: the texts of all added tokens pass 4194304 bytes");
  spec.added[0].id = 7;
  EXPECT_NE(refusal(spec).find("the vocabulary has 2 tokens"), std::string::npos);
  spec.added[0].id = 0;
  EXPECT_NE(refusal(spec).find("neither control, unknown nor user-defined"), std::string::npos);
}

}  // namespace
}  // namespace millrace::text
