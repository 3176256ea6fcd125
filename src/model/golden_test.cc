// The golden checkpoints as files: their metadata, vocabulary and reference logits agree with each other.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "model/active_bytes.h"
#include "model/chat_template_source.h"
#include "model/model_text.h"
#include "model/testing/golden.h"
#include "text/vocabulary.h"

namespace millrace::model {
namespace {

class GoldenFiles : public ::testing::TestWithParam<std::string> {
 protected:
  static std::string Folder() { return std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/" + GetParam(); }
};

TEST_P(GoldenFiles, LoadWithTheirReferenceLogits) {
  const auto golden = testing::LoadGolden(Folder());
  ASSERT_TRUE(golden.ok()) << golden.status().message();
  ASSERT_EQ(golden->cases.size(), 2u);
  double sum = 0;
  size_t rows = 0;
  for (const testing::GoldenCase& test : golden->cases) {
    EXPECT_EQ(test.logits.size(), test.positions.size());
    for (const uint32_t position : test.positions) EXPECT_LT(position, test.tokens.size());
    for (const TokenId token : test.tokens) EXPECT_LT(static_cast<uint32_t>(token), golden->file->config().vocab);
    rows += test.logits.size();
  }
  ASSERT_EQ(rows * golden->file->config().vocab, golden->logits.size());
  for (const float logit : golden->logits) sum += static_cast<double>(logit) * static_cast<double>(logit);
  EXPECT_NEAR(std::sqrt(sum / static_cast<double>(golden->logits.size())), static_cast<double>(golden->rms), 1e-5);
}

TEST_P(GoldenFiles, HaveAVocabularyATemplateAndCountedWeights) {
  const auto golden = testing::LoadGolden(Folder());
  ASSERT_TRUE(golden.ok()) << golden.status().message();
  const ModelFile& file = *golden->file;
  auto spec = TokenizerSpecOf(file.source(), file.config().vocab);
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->end_of_sequence, (std::vector<TokenId>{0, 2}));
  const auto vocabulary = text::Vocabulary::Build(*spec);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status().message();
  EXPECT_EQ((*vocabulary)->size(), file.config().vocab);
  EXPECT_TRUE((*vocabulary)->IsEndOfSequence(2));
  const auto templates = ChatTemplatesOf(file.source());
  ASSERT_TRUE(templates.ok()) << templates.status().message();
  ASSERT_EQ(templates->size(), 1U);
  EXPECT_EQ(templates->front().name, text::kDefaultTemplate);
  EXPECT_NE(templates->front().source.find("<|im_start|>"), std::string::npos);
  uint64_t bytes = 0;
  for (const weights::TensorView& tensor : file.source().tensors()) {
    if (!tensor.name.starts_with("rope_f")) bytes += tensor.source_bytes();  // read once, into the configuration
  }
  EXPECT_EQ(WeightBytesOf(file).resident(), bytes);
}

std::string Root() { return std::string(MILLRACE_SOURCE_DIR) + "/tests/golden"; }

INSTANTIATE_TEST_SUITE_P(Checkpoints, GoldenFiles, ::testing::ValuesIn(testing::GoldenNames(Root())), [](const auto& row) {
  std::string name = row.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

}  // namespace
}  // namespace millrace::model
