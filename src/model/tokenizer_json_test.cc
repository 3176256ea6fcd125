#include "model/tokenizer_json.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "model/model_text.h"
#include "model/testing/checkpoint_image.h"
#include "text/named_pretokenizer.h"

namespace millrace::model {
namespace {

using testing::CheckpointImage;
using testing::FilesOf;
using text::TokenType;

// Members of a small, right tokenizer.json, to be replaced one at a time.
struct Image {
  std::string vocab = R"({"a":0,"b":1,"ab":2,"<|im_end|>":3})";
  std::string merges = R"(["a b"])";
  std::string model = R"("type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":"","byte_fallback":false)";
  std::string added = R"([{"id":3,"content":"<|im_end|>","special":true},{"id":5,"content":"<tool>","special":false}])";
  std::string pre = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":true})";
  std::string rest = "";
  std::string config = R"({"eos_token":"<|im_end|>","bos_token":{"content":"<tool>"},"pad_token":null})";
  std::string special = R"({"pad_token":"a"})";
  std::string generation = R"({"eos_token_id":[3,2]})";

  std::string Tokenizer() const {
    return R"({"version":"1.0","added_tokens":)" + added + R"(,"pre_tokenizer":)" + pre + R"(,"model":{)" + model +
           R"(,"vocab":)" + vocab + R"(,"merges":)" + merges + "}" + rest + "}";
  }
};

Result<text::TokenizerSpec> Read(const Image& image, uint32_t vocab = 8, const Json* config_eos = nullptr) {
  const std::string tokenizer = image.Tokenizer();
  const auto file = [](std::string_view name, const std::string& bytes) {
    return bytes.empty() ? NamedFile{} : NamedFile{name, std::as_bytes(std::span(bytes))};
  };
  return TokenizerSpecFromJson({.tokenizer = file(kTokenizerFile, tokenizer),
                                .tokenizer_config = file(kTokenizerConfigFile, image.config),
                                .special_tokens = file(kSpecialTokensFile, image.special),
                                .generation_config = file(kGenerationConfigFile, image.generation)},
                               config_eos, vocab);
}

void ExpectOneMerge(const text::TokenizerSpec& spec) {
  const auto& merges = std::get<text::BpeModel>(spec.model).merges;
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].both, "ab");
  EXPECT_EQ(merges[0].left_bytes, 1U);
}

TEST(TokenizerJson, FillsTheSpecification) {
  const auto spec = Read({});
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->tokens, (std::vector<std::string>{"a", "b", "ab", "<|im_end|>", "", "<tool>", "", ""}));
  EXPECT_EQ(spec->token_types,
            (std::vector<TokenType>{TokenType::kNormal, TokenType::kNormal, TokenType::kNormal, TokenType::kControl,
                                    TokenType::kUnused, TokenType::kUserDefined, TokenType::kUnused, TokenType::kUnused}));
  ExpectOneMerge(*spec);
  EXPECT_EQ(spec->eos, 3);
  EXPECT_EQ(spec->bos, 5);
  EXPECT_EQ(spec->pad, 0);
  EXPECT_FALSE(spec->unk);
  EXPECT_TRUE(spec->prefix.empty());
  EXPECT_EQ(spec->end_of_sequence, (std::vector<TokenId>{2, 3}));
  EXPECT_TRUE(text::Vocabulary::Build(*spec).ok());
}

TEST(TokenizerJson, MergesMayBePairs) {
  const auto spec = Read({.merges = R"([["a","b"]])"});
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  ExpectOneMerge(*spec);
}

TEST(TokenizerJson, EndsOfConfigJsonWhereThereIsNoGenerationConfig) {
  const Json one(int64_t{1});
  const auto spec = Read({.generation = ""}, 8, &one);
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->end_of_sequence, (std::vector<TokenId>{1, 3}));
  const auto silent = Read({.config = "", .special = "", .generation = ""});
  ASSERT_TRUE(silent.ok()) << silent.status().message();
  EXPECT_FALSE(silent->eos);
  EXPECT_EQ(silent->end_of_sequence, (std::vector<TokenId>{3}));  // known to end a turn
}

TEST(TokenizerJson, BeginningOfSequence) {
  const std::string processor =
      R"(,"post_processor":{"type":"Sequence","processors":[{"type":"ByteLevel"},{"type":"TemplateProcessing","single":)"
      R"([{"SpecialToken":{"id":"<tool>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}]}]})";
  const auto by_processor = Read({.rest = processor});
  ASSERT_TRUE(by_processor.ok()) << by_processor.status().message();
  EXPECT_EQ(by_processor->prefix.size(), 1U);
  EXPECT_EQ(by_processor->bos, 5);
  const auto overruled = Read({.rest = processor, .config = R"({"add_bos_token":false})"});
  ASSERT_TRUE(overruled.ok()) << overruled.status().message();
  EXPECT_TRUE(overruled->prefix.empty());
  const auto by_config = Read({.config = R"({"add_bos_token":true,"bos_token":"a"})"});
  ASSERT_TRUE(by_config.ok()) << by_config.status().message();
  EXPECT_EQ(by_config->prefix.size(), 1U);
}

TEST(TokenizerJson, RefusesWithTheReason) {
  const auto says = [](const Image& image, std::string_view words, Code code = Code::kUnsupported) {
    const auto spec = Read(image);
    ASSERT_FALSE(spec.ok()) << words;
    EXPECT_NE(spec.status().message().find(words), std::string::npos) << spec.status().message();
    EXPECT_EQ(spec.status().code(), code) << spec.status().message();
  };
  const Code loss = Code::kDataLoss;
  says({.model = R"("type":"Unigram")"}, "tokenizer.json: 'model.type': \"Unigram\" is not supported, expected \"BPE\"");
  says({.model = R"("type":"BPE","byte_fallback":true)"}, "'model.byte_fallback': true");
  says({.model = R"("type":"BPE","dropout":0.1)"}, "'model.dropout': 0.1");
  says({.model = R"("type":"BPE","end_of_word_suffix":"</w>")"}, "'model.end_of_word_suffix'");
  says({.model = R"("type":"BPE","byte_fallback":1)"}, "'model.byte_fallback': expected true or false", Code::kInvalidArgument);
  says({.pre = R"({"type":"Metaspace"})"}, "'pre_tokenizer': {\"type\":\"Metaspace\"} is not supported");
  says({.pre = "null"}, "'pre_tokenizer': expected ByteLevel");
  says({.pre = R"({"type":"ByteLevel","add_prefix_space":true})"}, "'pre_tokenizer.add_prefix_space'");
  says({.rest = R"(,"normalizer":{"type":"Lowercase"})"}, "'normalizer': {\"type\":\"Lowercase\"}");
  says({.rest = R"(,"post_processor":{"type":"BertProcessing"})"}, "'post_processor'");
  says({.vocab = R"({"a":9})"}, "tokenizer.json: token 'a': 'model.vocab': id 9, expected a whole number below 8", loss);
  says({.vocab = R"({"a":-1})"}, "id -1", loss);
  says({.vocab = R"({"a":0,"b":0})"}, "id 0 is that of two tokens, 'a' and 'b'", loss);
  says({.vocab = "[]"}, "'model.vocab': expected an object", loss);
  says({.merges = R"(["ab"])"}, "merge 0", loss);
  says({.merges = R"([["a b","c"]])"}, "merge 0", loss);
  says({.merges = R"([["a"]])"}, "merge 0", loss);
  says({.merges = "{}"}, "'model.merges': expected an array", loss);
  says({.added = R"([{"id":3,"content":"x","special":true}])"}, "id 3 is that of two tokens", loss);
  says({.added = R"([{"id":4,"content":"x","lstrip":true}])"}, "'added_tokens' 'x': lstrip is not supported");
  says({.added = R"([{"content":"x"}])"}, "'added_tokens': expected an id and a content", loss);
  says({.config = R"({"eos_token":"<none>"})"}, "tokenizer_config.json: 'eos_token': '<none>' is no token of tokenizer.json",
       loss);
  says({.config = R"({"add_bos_token":true})"}, "'add_bos_token': set, but there is no bos_token", loss);
  says({.config = "["}, "tokenizer_config.json: JSON", Code::kInvalidArgument);
  says({.generation = R"({"eos_token_id":8})"}, "generation_config.json: 'eos_token_id': id 8", loss);
  EXPECT_EQ(TokenizerSpecFromJson({}, nullptr, 8).status().message(), "tokenizer.json: missing");
}

// Of a directory that holds nothing else of interest.
template <typename Reader>
auto OfDirectory(std::map<std::string, std::string> texts, Reader reader) {
  CheckpointImage image;
  image.files = std::move(texts);
  const auto directory = image.Build();
  const auto source = ModelSource::Parse(FilesOf(directory));
  EXPECT_TRUE(source.ok()) << source.status().message();
  return reader(*source);
}

TEST(ModelText, SamplingOfTheGenerationConfig) {
  const auto found = [](const std::string& text) { return OfDirectory({{"generation_config.json", text}}, SamplingOf); };
  const auto hints = found(R"({"temperature":0.7,"top_p":0.8,"top_k":20,"repetition_penalty":1.05,"do_sample":true})");
  ASSERT_TRUE(hints.ok()) << hints.status().message();
  EXPECT_EQ(hints->temperature, 0.7F);
  EXPECT_EQ(hints->top_p, 0.8F);
  EXPECT_EQ(hints->top_k, 20);
  EXPECT_EQ(hints->repetition_penalty, 1.05F);
  EXPECT_FALSE(hints->min_p);
  EXPECT_FALSE(found(R"({"top_k":0})")->top_k);
  EXPECT_EQ(found(R"({"temperature":-1})").status().message(),
            "generation_config.json 'temperature': -1, expected a number from 0 to 100");
  EXPECT_FALSE(found(R"({"top_p":"high"})").ok());
}

}  // namespace
}  // namespace millrace::model
