// Every kind of model against the ids that its reference gives (tests/text/subword_golden.json, made by make_subword_golden), and what the
// references do not have: refusals and bounds on the work.
#include "text/subword_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>

#include "base/json.h"
#include "text/mark_cuts.h"

namespace millrace::text {
namespace {

// The vocabulary and the model of a spec, which live together.
struct Compiled {
  std::shared_ptr<const Vocabulary> vocabulary;
  std::unique_ptr<const SubwordModel> model;
};

Result<Compiled> Compile(const TokenizerSpec& spec) {
  Compiled out;
  ASSIGN_OR_RETURN(out.vocabulary, Vocabulary::Build(spec));
  ASSIGN_OR_RETURN(out.model, SubwordModel::Create(spec, *out.vocabulary));
  return out;
}

std::vector<TokenId> Encode(const SubwordModel& model, std::string_view text) {
  std::vector<TokenId> out;
  if (!text.empty()) model.NewEncoder()->Append(text, out);
  return out;
}

std::string ErrorOf(const TokenizerSpec& spec) {
  const Result<Compiled> compiled = Compile(spec);
  return compiled.ok() ? "no error" : compiled.status().message();
}

TokenType TypeNamed(std::string_view name) {
  if (name == "normal") return TokenType::kNormal;
  if (name == "unknown") return TokenType::kUnknown;
  if (name == "control") return TokenType::kControl;
  if (name == "user_defined") return TokenType::kUserDefined;
  return name == "unused" ? TokenType::kUnused : TokenType::kByte;
}

// One case of the golden file.
class GoldenCase {
 public:
  explicit GoldenCase(const Json& json) : json_(json) {
    for (const Json& token : json.Find("tokens")->items()) spec_.tokens.push_back(token.as_string());
    if (const Json* unknown = json.Find("unknown"); !unknown->is_null()) {
      spec_.unk = static_cast<TokenId>(unknown->as_int64().value());
    }
    spec_.token_types.assign(spec_.tokens.size(), TokenType::kNormal);
    if (const Json* types = json.Find("types")) {
      for (size_t i = 0; i < spec_.tokens.size(); ++i) spec_.token_types[i] = TypeNamed(types->items()[i].as_string());
    }
    if (const Json* outside = json.Find("outside")) {
      for (const Json& id : outside->items()) spec_.token_types[id.as_int64().value()] = TokenType::kUserDefined;
    }
    TakeModel(json.Find("kind")->as_string());
  }

  const TokenizerSpec& spec() const { return spec_; }

 private:
  bool Flag(const char* name) const { return json_.Find(name) != nullptr && json_.Find(name)->as_bool(); }
  std::string Text(const char* name) const { return json_.Find(name) == nullptr ? "" : json_.Find(name)->as_string(); }

  void TakeModel(std::string_view kind) {
    if (kind == "bpe") {
      spec_.model = Bpe();
    } else if (kind == "scored_bpe") {
      ScoredBpeModel model;
      for (const Json& score : json_.Find("scores")->items()) model.scores.push_back(static_cast<float>(score.as_double()));
      spec_.model = model;
    } else if (kind == "unigram") {
      UnigramModel model = {.scores = {}, .byte_fallback = Flag("byte_fallback")};
      for (const Json& score : json_.Find("scores")->items())
        model.scores.push_back(std::strtod(score.as_string().c_str(), nullptr));
      spec_.model = model;
    } else if (kind == "wordpiece") {
      const auto max_characters = static_cast<size_t>(json_.Find("max_characters")->as_int64().value());
      spec_.model = WordPieceModel{.continuing_prefix = Text("continuing_prefix"), .max_characters = max_characters};
    } else {
      spec_.model = WordLevelModel{};
    }
  }

  BpeModel Bpe() const {
    BpeModel model;
    for (const Json& merge : json_.Find("merges")->items()) {
      const std::string& left = merge.items()[0].as_string();
      model.merges.push_back({left + merge.items()[1].as_string(), static_cast<uint32_t>(left.size())});
    }
    model.byte_level = Flag("byte_level");
    model.ignore_merges = Flag("ignore_merges");
    model.byte_fallback = Flag("byte_fallback");
    model.fuse_unknown = Flag("fuse_unknown");
    model.continuing_prefix = Text("continuing_prefix");
    model.end_suffix = Text("end_suffix");
    return model;
  }

  const Json& json_;
  TokenizerSpec spec_;
};

TEST(SubwordModelTest, GivesTheIdsOfTheReference) {
  std::ifstream file(MILLRACE_SOURCE_DIR "/tests/text/subword_golden.json");
  std::stringstream bytes;
  bytes << file.rdbuf();
  const Result<Json> golden =
      Json::Parse(bytes.str(), {.max_bytes = size_t{1} << 30, .max_values = size_t{1} << 30, .max_depth = 16});
  ASSERT_TRUE(golden.ok()) << golden.status().message();
  size_t strings = 0;
  for (const Json& json : golden->Find("cases")->items()) {
    const GoldenCase golden_case(json);
    const Result<Compiled> compiled = Compile(golden_case.spec());
    ASSERT_TRUE(compiled.ok()) << json.Find("name")->as_string() << ": " << compiled.status().message();
    for (const Json& pair : json.Find("strings")->items()) {
      const std::string& text = pair.items()[0].as_string();
      std::vector<TokenId> expected;
      for (const Json& id : pair.items()[1].items()) expected.push_back(static_cast<TokenId>(id.as_int64().value()));
      // Twice: the first time fills what the model remembers.
      for (int time = 0; time < 2; ++time) {
        ASSERT_EQ(Encode(*compiled->model, text), expected)
            << "case " << json.Find("name")->as_string() << ", text '" << text << "'";
      }
      ++strings;
    }
  }
  EXPECT_GT(strings, 350U);
}

BpeModel Merges(const std::vector<std::pair<std::string, std::string>>& pairs) {
  BpeModel model;
  for (const auto& [left, right] : pairs) model.merges.push_back({left + right, static_cast<uint32_t>(left.size())});
  return model;
}

TokenizerSpec Spec(std::vector<std::string> tokens, ModelSpec model, std::optional<TokenId> unknown = std::nullopt) {
  TokenizerSpec spec;
  spec.tokens = std::move(tokens);
  spec.model = std::move(model);
  spec.unk = unknown;
  return spec;
}

TEST(SubwordModelTest, RefusesWhatMakesNoSense) {
  EXPECT_EQ(ErrorOf(Spec({"a", "b"}, Merges({{"a", "b"}}))), "merge 0 'a' + 'b': 'ab' is no token");
  EXPECT_EQ(ErrorOf(Spec({"a", "ab"}, Merges({{"a", "b"}}))), "merge 0 'a' + 'b': 'b' is no token");
  EXPECT_EQ(ErrorOf(Spec({"a"}, Merges({{"a", ""}}))), "merge 0 'a' + '': nothing to merge on one side");
  BpeModel prefixed = Merges({{"a", "##"}});
  prefixed.continuing_prefix = "##";
  EXPECT_EQ(ErrorOf(Spec({"a", "##"}, prefixed)), "merge 0 'a' + '##': nothing to merge on one side");
  BpeModel broken = Merges({{"a", "b"}});
  broken.merges[0].left_bytes = 3;
  EXPECT_EQ(ErrorOf(Spec({"a", "b", "ab"}, broken)), "merge 0: left of 3 bytes in 2, which may be at most 8192");
  EXPECT_EQ(ErrorOf(Spec({"a"}, BpeModel{}, 1)), "unknown is token 1 of 1");
  EXPECT_EQ(ErrorOf(Spec({"a"}, ScoredBpeModel{{}}, 0)), "0 scores for 1 tokens");
  EXPECT_EQ(ErrorOf(Spec({"a"}, ScoredBpeModel{{NAN}}, 0)), "the score of token 0 is not a number");
  EXPECT_EQ(ErrorOf(Spec({"a"}, ScoredBpeModel{{0}})), "neither an unknown token nor tokens for bytes");
  TokenizerSpec bytes = Spec({"a", "<0x41>"}, ScoredBpeModel{{0, 0}}, 0);
  bytes.token_types = {TokenType::kNormal, TokenType::kByte};
  EXPECT_EQ(ErrorOf(bytes), "tokens for 1 of 256 bytes, expected all or none");
  EXPECT_EQ(ErrorOf(Spec({"a"}, UnigramModel{{0}, false})), "a unigram model without an unknown token");
  EXPECT_EQ(ErrorOf(Spec({"a"}, UnigramModel{{0, 1}, false}, 0)), "2 scores for 1 tokens");
  EXPECT_EQ(ErrorOf(Spec({"a"}, UnigramModel{{NAN}, false}, 0)), "the score of token 0 is not a number");
  std::vector<std::string> long_tokens;
  for (int i = 0; i < 4200; ++i) long_tokens.push_back(std::string(4000, 'a') + std::to_string(10'000 + i));
  EXPECT_EQ(ErrorOf(Spec(long_tokens, WordPieceModel{}, 0)), "tokens of 16821000 bytes in all, expected at most 16777216");
  EXPECT_EQ(ErrorOf(Spec({"a"}, WordPieceModel{})), "a WordPiece model without an unknown token");
  EXPECT_EQ(ErrorOf(Spec({"a"}, WordLevelModel{})), "a word-level model without an unknown token");
}

TEST(SubwordModelTest, AddedTokensComeOutOfTextOnlyWhereTheModelHasThem) {
  TokenizerSpec spec = Spec({"<unk>", "a", "b", "<s>"}, WordLevelModel{}, 0);
  spec.token_types = {TokenType::kUnknown, TokenType::kNormal, TokenType::kNormal, TokenType::kControl};
  const std::vector<ModelSpec> models = {WordLevelModel{}, WordPieceModel{}, UnigramModel{{0, -1, -1, 0}, false}};
  for (const ModelSpec& model : models) {
    spec.model = model;
    spec.added = {};
    EXPECT_EQ(Encode(*Compile(spec)->model, "<s>"), std::vector<TokenId>{0});
    spec.added = {{.id = 3, .in_model = true}};
    EXPECT_EQ(Encode(*Compile(spec)->model, "<s>"), std::vector<TokenId>{3});
  }
  spec.tokens = {"<unk>", "<s", ">", "<s>"};
  spec.added = {};
  BpeModel whole = Merges({});
  whole.ignore_merges = true;
  spec.model = whole;
  EXPECT_EQ(Encode(*Compile(spec)->model, "<s>"), (std::vector<TokenId>{0, 0, 2}));
  whole.merges = {{"<s>", 2}};
  spec.model = whole;
  EXPECT_EQ(ErrorOf(spec), "merge 0 '<s' + '>': '<s>' is no token");
  spec.added = {{.id = 3, .in_model = true}};
  EXPECT_EQ(Encode(*Compile(spec)->model, "<s>"), std::vector<TokenId>{3});
}

// Every prefix and run that may meet in hostile text: "a" to the 64th, both letters, marks.
std::vector<std::string> HostileTokens() {
  std::vector<std::string> tokens = {"<unk>", "b", "ab", "aab", "\u2581"};
  for (size_t size = 1; size <= 64; ++size) tokens.push_back(std::string(size, 'a'));
  for (const char* text : {"\u2581\u2581", "\u2581\u2581\u2581\u2581", "\u2581a", "\u2581\u2581a"}) tokens.emplace_back(text);
  return tokens;
}

std::vector<TokenizerSpec> HostileSpecs() {
  const std::vector<std::string> tokens = HostileTokens();
  std::vector<std::pair<std::string, std::string>> pairs;
  for (size_t left = 1; left <= 32; ++left) {
    pairs.emplace_back(std::string(left, 'a'), std::string(left, 'a'));
    pairs.emplace_back(std::string(left, 'a'), "a");
  }
  for (const char* right : {"\u2581", "a", "\u2581a"}) pairs.emplace_back("\u2581", right);
  pairs.emplace_back("a", "b");
  std::erase_if(
      pairs, [&](const auto& pair) { return std::find(tokens.begin(), tokens.end(), pair.first + pair.second) == tokens.end(); });
  BpeModel cut = Merges(pairs);
  BpeModel uncut = cut;
  uncut.merges.push_back({"a\u2581", 1});
  std::vector<std::string> more = tokens;
  more.emplace_back("a\u2581");
  std::vector<float> equal(more.size(), 0);
  std::vector<double> scores(tokens.size(), -1);
  return {Spec(tokens, cut, 0),
          Spec(more, uncut, 0),
          Spec(tokens, ScoredBpeModel{std::vector<float>(tokens.size(), 0)}, 0),
          Spec(more, ScoredBpeModel{equal}, 0),
          Spec(tokens, UnigramModel{scores, true}, 0),
          Spec(tokens, WordPieceModel{"", size_t{1} << 40}, 0),
          Spec(tokens, WordLevelModel{}, 0)};
}

// Counted, not timed: a quadratic way through a megabyte would take 10^11 steps.
TEST(SubwordModelTest, StepsAreLinearInHostileText) {
  for (const TokenizerSpec& spec : HostileSpecs()) {
    const Result<Compiled> compiled = Compile(spec);
    ASSERT_TRUE(compiled.ok()) << compiled.status().message();
    for (const char* unit :
         {"a", "\u2581", "ab", "aab", "\u2581\u2581a", "a\u2581", "\U0001F600", "x\u2581", "aaaaaaaaaaaaaaaaaaab"}) {
      std::string text;
      while (text.size() < 300'000) text += unit;
      std::vector<TokenId> out;
      const std::unique_ptr<PieceEncoder> encoder = compiled->model->NewEncoder();
      encoder->Append(text, out);
      // The longest token has 64 bytes.
      EXPECT_LT(encoder->steps(), 66 * text.size()) << "model " << spec.model.index() << " unit " << unit;
      if (!std::holds_alternative<UnigramModel>(spec.model) && !std::holds_alternative<WordPieceModel>(spec.model)) {
        EXPECT_LT(encoder->steps(), 24 * text.size()) << "model " << spec.model.index() << " unit " << unit;
      }
    }
  }
}

// A merge of "<0x41>" with what follows forbids all cuts; text in which "A" is known never has that symbol.
TEST(SubwordModelTest, CutsChangeNothing) {
  std::mt19937 random(3);
  const std::vector<std::string> letters = {"A", "b", ">", "\u2581", "\u4E16", "\n"};
  size_t merged = 0;
  for (int round = 0; round < 40; ++round) {
    std::vector<std::string> tokens = letters;
    std::vector<std::pair<std::string, std::string>> pairs;
    for (int i = 0; i < 30; ++i) {
      const std::string left = tokens[random() % tokens.size()];
      const std::string right = tokens[random() % tokens.size()];
      const bool joins = right.starts_with("\u2581") && !left.ends_with("\u2581");
      const bool known = std::find(tokens.begin(), tokens.end(), left + right) != tokens.end();
      if (known || left.size() + right.size() > 15 || (joins && random() % 8 != 0)) continue;
      pairs.emplace_back(left, right);
      tokens.push_back(left + right);
    }
    std::shuffle(pairs.begin(), pairs.end(), random);
    const auto unknown = static_cast<TokenId>(tokens.size());
    for (const char* token : {"<unk>", "<0x41>", "<0x41>\u2581"}) tokens.emplace_back(token);
    const Result<Compiled> cut = Compile(Spec(tokens, Merges(pairs), unknown));
    pairs.emplace_back("<0x41>", "\u2581");
    const Result<Compiled> uncut = Compile(Spec(tokens, Merges(pairs), unknown));
    ASSERT_TRUE(cut.ok() && uncut.ok());
    for (int i = 0; i < 50; ++i) {
      std::string text;
      for (size_t size = 1 + random() % 200; size > 0; --size)
        text += random() % 20 == 0 ? "?" : letters[random() % letters.size()];
      const std::vector<TokenId> ids = Encode(*cut->model, text);
      ASSERT_EQ(ids, Encode(*uncut->model, text)) << "round " << round << " text " << text;
      merged += text.size() - ids.size();
    }
  }
  EXPECT_GT(merged, 100'000U);
}

TEST(MarkCutsTest, CutsInFrontOfEachRunOfMarksUnlessATokenGoesOn) {
  MarkCuts cuts;
  EXPECT_EQ(cuts.FirstPart("a\u2581b"), 5U);
  cuts.Allow();
  EXPECT_EQ(cuts.FirstPart("a\u2581b"), 1U);
  EXPECT_EQ(cuts.FirstPart("\u2581\u2581b\u2581\u2581c"), 7U);
  EXPECT_EQ(cuts.FirstPart("\u2581\u2581"), 6U);
  EXPECT_EQ(cuts.FirstPart("\u2019\u2580x"), 7U);  // the first byte of "▁", not the others
  cuts.BarIn("\u2581\u4E16\u2581");
  cuts.BarIn("\u2581\u2581x");
  EXPECT_EQ(cuts.FirstPart("\u4E16\u2581b\u2581c"), 7U);
  EXPECT_EQ(cuts.FirstPart("x\u2581b"), 1U);
}

}  // namespace
}  // namespace millrace::text
