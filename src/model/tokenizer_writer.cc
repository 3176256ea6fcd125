#include "model/tokenizer_writer.h"

#include <set>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "model/named_file.h"
#include "text/named_pretokenizer.h"

namespace millrace::model {

namespace {

using text::TokenizerSpec;
using text::TokenType;

TokenType TypeOf(const TokenizerSpec& spec, size_t id) {
  return spec.token_types.empty() ? TokenType::kNormal : spec.token_types[id];
}

bool IsAdded(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUnknown || type == TokenType::kUserDefined;
}

Json AddedToken(size_t id, const std::string& content, TokenType type) {
  return Json(Json::Object{{"id", Json(uint64_t{id})},
                           {"content", Json(content)},
                           {"single_word", Json(false)},
                           {"lstrip", Json(false)},
                           {"rstrip", Json(false)},
                           {"normalized", Json(false)},
                           {"special", Json(type != TokenType::kUserDefined)}});
}

Json ByteLevel() {
  return Json(Json::Object{
      {"type", Json("ByteLevel")}, {"add_prefix_space", Json(false)}, {"trim_offsets", Json(true)}, {"use_regex", Json(false)}});
}

Json PreTokenizerOf(const text::NamedPreTokenizer::Stages& stages) {
  Json::Array steps;
  for (const std::string& pattern : stages.patterns) {
    steps.push_back(Json(Json::Object{{"type", Json("Split")},
                                      {"pattern", Json(Json::Object{{"Regex", Json(pattern)}})},
                                      {"behavior", Json("Isolated")},
                                      {"invert", Json(false)}}));
  }
  steps.push_back(ByteLevel());
  return Json(Json::Object{{"type", Json("Sequence")}, {"pretokenizers", Json(std::move(steps))}});
}

// The beginning of sequence before the text, where the model expects it.
Json PostProcessorOf(const TokenizerSpec& spec) {
  if (spec.prefix.empty() || !spec.bos) return ByteLevel();
  const std::string& bos = spec.tokens[static_cast<size_t>(*spec.bos)];
  const auto special = [&bos] {
    return Json(Json::Object{{"SpecialToken", Json(Json::Object{{"id", Json(bos)}, {"type_id", Json(0)}})}});
  };
  const auto sequence = [](const char* id, int type) {
    return Json(Json::Object{{"Sequence", Json(Json::Object{{"id", Json(id)}, {"type_id", Json(type)}})}});
  };
  const Json known(Json::Object{{bos, Json(Json::Object{{"id", Json(bos)},
                                                        {"ids", Json(Json::Array{Json(int64_t{*spec.bos})})},
                                                        {"tokens", Json(Json::Array{Json(bos)})}})}});
  return Json(Json::Object{{"type", Json("TemplateProcessing")},
                           {"single", Json(Json::Array{special(), sequence("A", 0)})},
                           {"pair", Json(Json::Array{special(), sequence("A", 0), sequence("B", 1)})},
                           {"special_tokens", known}});
}

// Padding of the table has no place in the file; ids beyond it are unused again when it is read.
std::string TokenizerJson(const TokenizerSpec& spec, const text::NamedPreTokenizer::Stages& stages) {
  Json::Object vocab;
  Json::Array added;
  std::set<std::string_view> seen;
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const TokenType type = TypeOf(spec, id);
    if (type == TokenType::kUnused || !seen.insert(spec.tokens[id]).second) continue;
    vocab.emplace_back(spec.tokens[id], Json(uint64_t{id}));
    if (IsAdded(type)) added.push_back(AddedToken(id, spec.tokens[id], type));
  }
  Json::Array merges;
  for (const text::Merge& merge : std::get<text::BpeModel>(spec.model).merges) {
    merges.emplace_back(merge.both.substr(0, merge.left_bytes) + " " + merge.both.substr(merge.left_bytes));
  }
  const Json model(Json::Object{{"type", Json("BPE")},
                                {"dropout", Json()},
                                {"unk_token", Json()},
                                {"continuing_subword_prefix", Json()},
                                {"end_of_word_suffix", Json()},
                                {"fuse_unk", Json(false)},
                                {"byte_fallback", Json(false)},
                                {"ignore_merges", Json(stages.whole_words_first)},
                                {"vocab", Json(std::move(vocab))},
                                {"merges", Json(std::move(merges))}});
  return Json(Json::Object{{"version", Json("1.0")},
                           {"truncation", Json()},
                           {"padding", Json()},
                           {"added_tokens", Json(std::move(added))},
                           {"normalizer", Json()},
                           {"pre_tokenizer", PreTokenizerOf(stages)},
                           {"post_processor", PostProcessorOf(spec)},
                           {"decoder", ByteLevel()},
                           {"model", model}})
      .Write();
}

std::string TokenizerConfig(const TokenizerSpec& spec, const std::string& chat_template) {
  Json out(Json::Object{{"add_bos_token", Json(!spec.prefix.empty())}, {"add_prefix_space", Json(false)}});
  const std::pair<const char*, std::optional<TokenId>> specials[] = {
      {"bos_token", spec.bos}, {"eos_token", spec.eos}, {"unk_token", spec.unk}, {"pad_token", spec.pad}};
  for (const auto& [key, id] : specials) out.Set(key, id ? Json(spec.tokens[static_cast<size_t>(*id)]) : Json());
  if (!chat_template.empty()) out.Set("chat_template", Json(chat_template));
  out.Set("clean_up_tokenization_spaces", Json(false));
  out.Set("tokenizer_class", Json("PreTrainedTokenizerFast"));
  return out.WriteIndented() + "\n";
}

std::string GenerationConfig(const TokenizerSpec& spec) {
  Json out(Json::Object{});
  if (spec.bos) out.Set("bos_token_id", Json(int64_t{*spec.bos}));
  Json::Array ends;
  for (const TokenId id : spec.end_of_sequence) ends.emplace_back(int64_t{id});
  if (!ends.empty()) out.Set("eos_token_id", Json(std::move(ends)));
  if (spec.pad) out.Set("pad_token_id", Json(int64_t{*spec.pad}));
  return out.WriteIndented() + "\n";
}

}  // namespace

Result<std::map<std::string, std::string>> TokenizerFilesOf(const TokenizerSpec& spec, const std::string& chat_template) {
  const auto* model = std::get_if<text::BpeModel>(&spec.model);
  if (model == nullptr || !model->byte_level) return Error(Code::kUnsupported, "a tokenizer that is not byte-level BPE");
  text::NamedPreTokenizer::Stages stages{{}, model->ignore_merges};
  for (const text::PreTokenizerStep& step : spec.pre_tokenizers) {
    if (const auto* split = std::get_if<text::PatternSplit>(&step)) stages.patterns.push_back(split->pattern.text);
  }
  return std::map<std::string, std::string>{{std::string(kTokenizerFile), TokenizerJson(spec, stages)},
                                            {std::string(kTokenizerConfigFile), TokenizerConfig(spec, chat_template)},
                                            {std::string(kGenerationConfigFile), GenerationConfig(spec)}};
}

}  // namespace millrace::model
