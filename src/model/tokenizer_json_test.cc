#include "model/tokenizer_json.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "model/model_text.h"
#include "model/testing/checkpoint_image.h"
#include "model/tokenizer_writer.h"
#include "text/spec_fingerprint.h"
#include "text/tokenizer.h"

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
  std::string added = R"([{"id":3,"content":"<|im_end|>","special":true},{"id":4,"content":"<tool>","special":false}])";
  std::string pre = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":true})";
  std::string rest = "";
  std::string config = R"({"eos_token":"<|im_end|>","bos_token":{"content":"<tool>"},"pad_token":null})";
  std::string special = R"({"pad_token":"<|im_end|>"})";
  std::string generation = R"({"eos_token_id":[3,2]})";

  std::string Tokenizer() const {
    return R"({"version":"1.0","added_tokens":)" + added + R"(,"pre_tokenizer":)" + pre + R"(,"model":{)" + model +
           R"(,"vocab":)" + vocab + R"(,"merges":)" + merges + "}" + rest + "}";
  }
};

Result<text::TokenizerSpec> Read(const Image& image, std::optional<uint32_t> vocab = 8, const Json* config_eos = nullptr) {
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
  EXPECT_EQ(spec->tokens, (std::vector<std::string>{"a", "b", "ab", "<|im_end|>", "<tool>", "", "", ""}));
  EXPECT_EQ(spec->token_types,
            (std::vector<TokenType>{TokenType::kNormal, TokenType::kNormal, TokenType::kNormal, TokenType::kControl,
                                    TokenType::kUserDefined, TokenType::kUnused, TokenType::kUnused, TokenType::kUnused}));
  ExpectOneMerge(*spec);
  EXPECT_EQ(spec->eos, 3);
  EXPECT_EQ(spec->bos, 4);
  EXPECT_EQ(spec->pad, 3);
  EXPECT_FALSE(spec->unk);
  EXPECT_TRUE(spec->prefix.empty());
  EXPECT_EQ(spec->end_of_sequence, (std::vector<TokenId>{2, 3}));
  ASSERT_EQ(spec->added.size(), 2U);
  EXPECT_TRUE(spec->added[0].in_model);
  EXPECT_FALSE(spec->added[0].normalized);
  EXPECT_FALSE(spec->added[1].in_model);
  EXPECT_TRUE(spec->added[1].normalized);
  EXPECT_TRUE(std::get<text::BpeModel>(spec->model).byte_level);
  EXPECT_TRUE(text::Tokenizer::Create(*spec).ok());
}

TEST(TokenizerJson, WithoutRowsTheFileSaysHowManyThereAre) {
  const auto spec = Read({}, std::nullopt);
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->tokens.size(), 5U);
}

TEST(TokenizerJson, NamedTokensMayStandInAnObject) {
  const auto spec = Read({.config = R"({"extra_special_tokens":{"image_token":"<image>"}})"});
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->tokens[5], "<image>");
  EXPECT_EQ(spec->token_types[5], TokenType::kControl);
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

TEST(TokenizerJson, WhatComesAroundAText) {
  const auto around = [](const std::string& processor, const std::string& config) {
    const auto spec = Read({.rest = processor.empty() ? "" : R"(,"post_processor":)" + processor, .config = config});
    EXPECT_TRUE(spec.ok()) << spec.status().message();
    return std::pair(spec->prefix, spec->suffix);
  };
  using Ids = std::vector<TokenId>;
  const std::string templated =
      R"({"type":"Sequence","processors":[{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":false},)"
      R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"B","type_id":0}},{"Sequence":{"id":"A","type_id":0}},)"
      R"({"SpecialToken":{"id":"E","type_id":0}}],"pair":[],"special_tokens":{"B":{"id":"B","ids":[4,3],"tokens":["x","y"]},)"
      R"("E":{"id":"E","ids":[2],"tokens":["ab"]}}}]})";
  EXPECT_EQ(around(templated, ""), std::pair(Ids({4, 3}), Ids({2})));
  // Beside a tokenizer.json these flags mean nothing.
  EXPECT_EQ(around(templated, R"({"add_bos_token":false})"), std::pair(Ids({4, 3}), Ids({2})));
  EXPECT_EQ(around("", R"({"add_bos_token":true,"bos_token":"<tool>"})"), std::pair(Ids(), Ids()));
  EXPECT_EQ(around(R"({"type":"BertProcessing","sep":["b",1],"cls":["a",0]})", ""), std::pair(Ids({0}), Ids({1})));
  EXPECT_EQ(
      around(R"({"type":"RobertaProcessing","sep":["b",1],"cls":["a",0],"trim_offsets":true,"add_prefix_space":false})", ""),
      std::pair(Ids({0}), Ids({1})));
}

TEST(TokenizerJson, TokenizerConfigAddsAndChangesTokens) {
  const auto spec = Read({.config = R"({"eos_token":"b","mask_token":{"content":"[M]","lstrip":true},)"
                                    R"("added_tokens_decoder":{"3":{"content":"<|im_end|>","rstrip":true,"special":true}},)"
                                    R"("additional_special_tokens":["<x>"],"clean_up_tokenization_spaces":true})"});
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->eos, 1);
  EXPECT_EQ(spec->token_types[1], TokenType::kControl);
  EXPECT_EQ(spec->tokens[5], "[M]");
  EXPECT_EQ(spec->tokens[6], "<x>");
  EXPECT_TRUE(spec->added[0].rstrip);
  EXPECT_FALSE(spec->clean_up_spaces);  // `transformers` passes it over for BPE
  EXPECT_EQ(Read({.config = R"({"pad_token":"1","mask_token":"2","cls_token":"3","sep_token":"4"})"}).status().message(),
            "tokenizer_config.json: 'mask_token': '2': id 8, expected a whole number below 8, the rows of the embedding");
}

// Files of every model and step: what is read is written, and read again the same.
TEST(TokenizerJson, IsWrittenAsItIsRead) {
  const std::string split = R"({"type":"Split","pattern":{"Regex":"\\d+"},"behavior":"MergedWithNext","invert":true})";
  const std::string steps =
      R"({"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Whitespace"},{"type":"BertPreTokenizer"},)" +
      split +
      R"(,{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":false},{"type":"Punctuation"}]},)"
      R"({"type":"CharDelimiterSplit","delimiter":"-"},{"type":"Metaspace","replacement":"▁","add_prefix_space":false,"prepend_scheme":"never"}]})";
  const std::string normalizers =
      R"(,"normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Lowercase"},{"type":"StripAccents"},{"type":"Nmt"},)"
      R"({"type":"Strip","strip_left":true,"strip_right":false},{"type":"Replace","pattern":{"String":"x"},"content":"y"},)"
      R"({"type":"Prepend","prepend":"▁"},{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":false,)"
      R"("strip_accents":null,"lowercase":false}]})";
  const std::string decoders =
      R"(,"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},)"
      R"({"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":2},{"type":"Metaspace","replacement":"_","prepend_scheme":"first"}]})";
  const std::string bpe =
      R"("type":"BPE","unk_token":"a","byte_fallback":true,"fuse_unk":true,"ignore_merges":true,"end_of_word_suffix":"</w>")";
  const std::string pairs = R"([["a","b"]])";
  const std::string none = R"([])";
  const std::vector<Image> images = {
      {},
      {.rest = R"(,"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true})"},
      {.merges = pairs, .model = bpe, .pre = steps, .rest = normalizers + decoders},
      {.model = R"("type":"WordLevel","unk_token":"b")",
       .pre = "null",
       .rest = R"(,"decoder":{"type":"BPEDecoder","suffix":"</w>"})"},
      {.model = R"("type":"WordPiece","unk_token":"a","continuing_subword_prefix":"#","max_input_chars_per_word":7)",
       .pre = "null",
       .rest = R"(,"decoder":{"type":"WordPiece","prefix":"##","cleanup":false})",
       .config = R"({"clean_up_tokenization_spaces":true})"},
      {.vocab = R"([["<unk>",0.0],["a",-1.1000000000000001],["b",-2.75],["<|im_end|>",0]])",
       .model = R"("type":"Unigram","unk_id":0,"byte_fallback":false)",
       .pre = "null"}};
  for (const Image& image : images) {
    const auto spec = Read(image);
    ASSERT_TRUE(spec.ok()) << spec.status().message();
    const auto files = TokenizerFilesOf(*spec, "");
    ASSERT_TRUE(files.ok()) << files.status().message();
    const auto file = [&](std::string_view name) {
      return NamedFile{name, std::as_bytes(std::span(files->at(std::string(name))))};
    };
    const auto again = TokenizerSpecFromJson({.tokenizer = file(kTokenizerFile),
                                              .tokenizer_config = file(kTokenizerConfigFile),
                                              .special_tokens = {},
                                              .generation_config = file(kGenerationConfigFile)},
                                             nullptr, 8);
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(text::SpecFingerprint(*spec, spec->end_of_sequence), text::SpecFingerprint(*again, again->end_of_sequence))
        << files->at("tokenizer.json");
  }
}

TEST(TokenizerJson, WhatTheFileCannotTellIsNotWritten) {
  auto spec = *Read({});
  spec.normalizers = {text::SentencePieceSpaces{true}};
  EXPECT_EQ(TokenizerFilesOf(spec, "").status().message(),
            "SentencePiece's removal of extra spaces, which tokenizer.json cannot tell");
  spec.normalizers = {text::CompiledRules{"x", false}};
  EXPECT_EQ(TokenizerFilesOf(spec, "").status().code(), Code::kUnsupported);
}

text::TokenizerSpec ScoredSpec(std::vector<float> scores) {
  text::TokenizerSpec spec;
  spec.tokens = {"<unk>", "a", "b", "ab", "aba"};
  spec.token_types.assign(5, TokenType::kNormal);
  spec.token_types[0] = TokenType::kUnknown;
  spec.unk = 0;
  spec.model = text::ScoredBpeModel{.scores = std::move(scores)};
  return spec;
}

TEST(TokenizerJson, ScoresAreWrittenAsMergesInTheirOrder) {
  const auto files = TokenizerFilesOf(ScoredSpec({0, 0, 0, -2, -1}), "");
  ASSERT_TRUE(files.ok()) << files.status().message();
  const auto json = Json::Parse(files->at("tokenizer.json"));
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->Find("model")->Find("merges")->Write(), R"([["ab","a"],["a","b"]])");
}

TEST(TokenizerJson, ScoresThatMakeNoModelAreNotWritten) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(TokenizerFilesOf(ScoredSpec({0, 0, 0, nan, -1}), "").status().message(), "the score of token 3 is not a number");
  EXPECT_EQ(TokenizerFilesOf(ScoredSpec({0, 0, 0}), "").status().code(), Code::kInvalidArgument);
}

TEST(TokenizerJson, RefusesWithTheReason) {
  const auto says = [](const Image& image, std::string_view words, Code code = Code::kUnsupported) {
    const auto spec = Read(image);
    ASSERT_FALSE(spec.ok()) << words;
    EXPECT_NE(spec.status().message().find(words), std::string::npos) << spec.status().message();
    EXPECT_EQ(spec.status().code(), code) << spec.status().message();
  };
  const Code loss = Code::kDataLoss;
  const std::string level = R"({"type":"ByteLevel","add_prefix_space":false})";
  says({.model = R"("type":"Morse")"},
       "tokenizer.json: 'pre_tokenizer': ByteLevel with a model of the type 'Morse', expected BPE");
  says({.model = R"("type":"Morse")", .pre = "null"},
       "tokenizer.json: 'model.type': \"Morse\" is not supported, expected BPE, Unigram, WordPiece or WordLevel");
  says({.model = R"("type":"BPE","dropout":0.1)"}, "'model.dropout': 0.1");
  says({.model = R"("type":"BPE","byte_fallback":1)"}, "'model.byte_fallback': expected true or false", Code::kInvalidArgument);
  says({.model = R"("type":"BPE","unk_token":"?")", .pre = "null"},
       "'model.unk_token': \"?\", expected a token of 'model.vocab'");
  says({.model = R"("type":"WordLevel")", .pre = "null"}, "'model.unk_token': missing");
  says({.pre = R"({"type":"UnicodeScripts"})"}, "'pre_tokenizer': {\"type\":\"UnicodeScripts\"} is not supported");
  says({.pre = R"({"type":"Metaspace"})"}, "'pre_tokenizer.replacement': missing, expected a string", loss);
  says({.pre = R"({"type":"Metaspace","replacement":"▁","add_prefix_space":false,"prepend_scheme":"first"})"},
       "'pre_tokenizer.add_prefix_space': false, expected what prepend_scheme says", loss);
  says({.pre = R"({"type":"Sequence","pretokenizers":[)" + level +
               R"(,{"type":"Split","pattern":{"Regex":"x"},"behavior":"Odd","invert":false}]})"},
       "'pre_tokenizer.pretokenizers[1].behavior': \"Odd\", expected Removed", loss);
  says({.pre = R"({"pretokenizers":[]})"}, "'pre_tokenizer.type': missing", loss);
  says({.rest = R"(,"normalizer":{"type":"ByteLevel"})"},
       "'normalizer': {\"type\":\"ByteLevel\"} is not supported, expected ByteLevel as");
  says({.rest = R"(,"normalizer":{"type":"Precompiled","precompiled_charsmap":"A"})"}, "expected base64", loss);
  says({.rest = R"(,"decoder":{"type":"CTC"})"}, "'decoder': {\"type\":\"CTC\"} is not supported");
  says({.rest = R"(,"decoder":{"type":"Replace","pattern":{"Regex":"a"},"content":""})"}, "expected a Replace of a \"String\"");
  says({.rest = R"(,"post_processor":{"type":"BertProcessing"})"}, "'post_processor.cls': missing", loss);
  says({.rest = R"(,"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"B","type_id":0}}]})"},
       "expected the text once, as sequence A");
  const auto processing = [](size_t parts) {
    std::string single;
    for (size_t i = 0; i < parts; ++i) single += R"({"SpecialToken":{"id":"x","type_id":0}},)";
    return R"(,"post_processor":{"type":"TemplateProcessing","single":[)" + single +
           R"({"Sequence":{"id":"A","type_id":0}}],"special_tokens":{"x":{"id":"x","ids":[0,1],"tokens":["a","b"]}}})";
  };
  EXPECT_TRUE(Read({.rest = processing(8)}).ok());
  says({.rest = processing(9)}, "'post_processor.single': more than 16 special tokens on one side of the text");
  says({.rest = R"(,"normalizer":{"type":"Precompiled","precompiled_charsmap":"AB=="})"}, "expected base64", loss);
  says({.rest = R"(,"normalizer":{"type":"Precompiled","precompiled_charsmap":"AAAAA==="})"}, "expected base64", loss);
  says({.config = R"({"bos_token":17})"}, "'bos_token': 17, expected a text or an object with a content", loss);
  says({.config = R"({"bos_token":{"content":1}})"}, "'bos_token': {\"content\":1}, expected a text", loss);
  says({.config = R"({"additional_special_tokens":"x"})"},
       "'additional_special_tokens': \"x\", expected an array or an object of tokens", loss);
  says({.config = R"({"extra_special_tokens":{"image_token":3}})"}, "'extra_special_tokens': 3, expected a text", loss);
  says({.config = R"({"added_tokens_decoder":{"6":{"content":"<new>"}}})"},
       "the file says id 6, which `tokenizers` does not follow: it gives 5");
  says({.vocab = R"({"a":9})"}, "tokenizer.json: token 'a': 'model.vocab': id 9, expected a whole number below 8", loss);
  says({.vocab = R"({"a":-1})"}, "id -1", loss);
  says({.vocab = R"({"a":0,"b":0})"}, "id 0 is that of two tokens, 'a' and 'b'", loss);
  says({.vocab = "[]"}, "'model.vocab': expected an object", loss);
  says({.merges = R"(["ab"])"}, "merge 0", loss);
  says({.merges = R"([["a"]])"}, "merge 0", loss);
  says({.merges = R"([["a","b"],"a b"])"}, "merge 1", loss);
  says({.merges = "{}"}, "'model.merges': expected an array", loss);
  says({.added = R"([{"id":3,"content":"x","special":true}])"},
       "the file says id 3, which `tokenizers` does not follow: it gives 4");
  says({.added = R"([{"content":"x"}])"}, "'added_tokens': expected an id", loss);
  says({.added = R"([{"id":4}])"}, "'added_tokens': expected a content", loss);
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
