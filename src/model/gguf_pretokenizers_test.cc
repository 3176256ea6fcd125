#include "model/gguf_pretokenizers.h"

#include <gtest/gtest.h>

#include "text/known_patterns.h"
#include "text/pretokenizer.h"

namespace millrace::model {
namespace {

using Pieces = std::vector<std::string>;

Pieces Cut(std::string_view name, std::string_view text) {
  const auto steps = TextStepsOfGguf(name);
  EXPECT_TRUE(steps.ok()) << steps.status().ToString();
  const auto cutter = text::PreTokenizer::Create(steps->pre_tokenizers);
  EXPECT_TRUE(cutter.ok()) << name << ": " << cutter.status().ToString();
  Pieces out;
  const Status status = (*cutter)->Split(text, true, [&](std::string_view piece) {
    out.emplace_back(piece);
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  return out;
}

TEST(GgufPreTokenizersTest, AnUnknownNameIsRefusedWithTheKnownOnes) {
  const std::string message = TextStepsOfGguf("nonsense").status().message();
  EXPECT_TRUE(message.starts_with("pre-tokenizer 'nonsense': expected one of a.x-4.0, bailingmoe, ")) << message;
}

// Every name of the refusal's list compiles, and cuts a text without losing any of it.
TEST(GgufPreTokenizersTest, EveryNameCuts) {
  constexpr std::string_view kText = "I'll be 12345 — naïve  日本語\n\n  x=1; ٣٤ ABc";
  const std::string message = TextStepsOfGguf("").status().message();
  size_t names = 0;
  for (size_t at = message.find(" of ") + 4; at < message.size(); ++names) {
    const size_t end = std::min(message.find(", ", at), message.size());
    std::string joined;
    for (const std::string& piece : Cut(message.substr(at, end - at), kText)) joined += piece;
    EXPECT_EQ(joined, kText) << message.substr(at, end - at);
    at = end + 2;
  }
  EXPECT_GT(names, 80u);
}

TEST(GgufPreTokenizersTest, NamesStandForTheirModelsSteps) {
  EXPECT_EQ(Cut("gpt-2", "a 123!"), (Pieces{"a", " 123", "!"}));
  EXPECT_EQ(Cut("starcoder", "a 123!"), (Pieces{"a", " ", "1", "2", "3", "!"}));
  EXPECT_EQ(Cut("llama-bpe", "I'LL 1234"), (Pieces{"I", "'LL", " ", "123", "4"}));
  EXPECT_EQ(Cut("qwen2", "I'LL 12"), (Pieces{"I", "'LL", " ", "1", "2"}));
  EXPECT_EQ(Cut("gpt-4o", "camelCase's"), (Pieces{"camel", "Case's"}));
  EXPECT_EQ(Cut("tekken", "camelCase's"), (Pieces{"camel", "Case", "'s"}));
  EXPECT_EQ(Cut("kimi-k2", "a漢字b"), (Pieces{"a", "漢字", "b"}));
  EXPECT_EQ(Cut("falcon", "x==1234"), (Pieces{"x", "==", "123", "4"}));
  EXPECT_EQ(Cut("tiny_aya", "1234567"), (Pieces{"1", "234", "567"}));
  EXPECT_EQ(Cut("superbpe", "1234567"), (Pieces{"1", "234", "567"}));
  EXPECT_EQ(Cut("gemma4", "a▁b\n"), (Pieces{"a▁b\n"}));
}

// The patterns as they are spelled here are those that the scanners know.
TEST(GgufPreTokenizersTest, CommonModelsRunOnScanners) {
  for (const char* name :
       {"llama-bpe", "qwen2", "qwen35", "gpt-4o", "tekken", "deepseek-v3", "bailingmoe", "minicpm5", "ufakzeka"}) {
    const auto steps = TextStepsOfGguf(name);
    for (const text::PreTokenizerStep& step : steps->pre_tokenizers) {
      const auto* split = std::get_if<text::PatternSplit>(&step);
      if (split == nullptr) continue;
      EXPECT_NE(text::FindScanner(split->pattern.text), nullptr) << name << ": " << split->pattern.text;
    }
  }
}

TEST(GgufPreTokenizersTest, NormalizersAndMergesGoByTheModel) {
  EXPECT_EQ(TextStepsOfGguf("qwen2")->normalizers.size(), 1u);
  EXPECT_TRUE(TextStepsOfGguf("gpt-2")->normalizers.empty());
  EXPECT_TRUE(TextStepsOfGguf("llama-bpe")->ignore_merges);
  EXPECT_FALSE(TextStepsOfGguf("dbrx")->ignore_merges);
  EXPECT_FALSE(TextStepsOfGguf("gemma4")->byte_level);
}

}  // namespace
}  // namespace millrace::model
