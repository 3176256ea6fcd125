#include "text/subword_model.h"

#include <utility>
#include <variant>

#include "text/compiled_bpe.h"
#include "text/compiled_scored_bpe.h"
#include "text/compiled_unigram.h"
#include "text/compiled_words.h"
#include "text/model_tokens.h"

namespace millrace::text {
namespace {

using Created = Result<std::unique_ptr<const SubwordModel>>;

Created Compile(const TokenizerSpec& spec, const BpeModel& model, ModelTokens tokens) {
  return CompiledBpe::Create(spec, model, std::move(tokens));
}
Created Compile(const TokenizerSpec& spec, const ScoredBpeModel& model, const ModelTokens& tokens) {
  return CompiledScoredBpe::Create(spec, model, tokens.vocabulary());
}
Created Compile(const TokenizerSpec& spec, const UnigramModel& model, const ModelTokens& tokens) {
  return CompiledUnigram::Create(spec, model, tokens);
}
Created Compile(const TokenizerSpec& spec, const WordPieceModel& model, const ModelTokens& tokens) {
  return CompiledWordPiece::Create(spec, model, tokens);
}
Created Compile(const TokenizerSpec& spec, const WordLevelModel& /*model*/, ModelTokens tokens) {
  return CompiledWordLevel::Create(spec, std::move(tokens));
}

}  // namespace

Created SubwordModel::Create(const TokenizerSpec& spec, const Vocabulary& vocabulary) {
  if (vocabulary.size() != spec.tokens.size()) {
    return Error(Code::kInvalidArgument, "a vocabulary of {} tokens for a model of {}", vocabulary.size(), spec.tokens.size());
  }
  if (spec.unk && !vocabulary.Contains(*spec.unk)) {
    return Error(Code::kInvalidArgument, "unknown is token {} of {}", *spec.unk, vocabulary.size());
  }
  return std::visit([&](const auto& model) { return Compile(spec, model, ModelTokens(spec, vocabulary)); }, spec.model);
}

}  // namespace millrace::text
