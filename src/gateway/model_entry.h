// ModelEntry: what the gateway knows of one model: its files (open, so that a worker can be given the descriptors), configuration,
// vocabulary and chat template. Metadata only; weights are never read here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "gateway/options.h"
#include "model/chat_template_source.h"
#include "model/config.h"
#include "model/model_file.h"
#include "model/model_files.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"

namespace millrace::gateway {

// Immutable; any thread may use it. Shared: streams and text jobs outlive a model that is being taken down.
class ModelEntry {
 public:
  // Errors name the file: missing, not a model, no usable vocabulary, a template that does not parse, a context the model cannot have.
  static Result<std::shared_ptr<const ModelEntry>> Open(const ModelOptions& options);

  const ModelOptions& options() const { return options_; }
  const std::string& alias() const { return options_.alias; }
  const model::ModelConfig& config() const { return config_; }
  const text::Vocabulary& vocabulary() const { return tokenizer_->vocabulary(); }
  uint32_t context() const { return context_; }  // positions of one sequence
  const model::OpenedModelFiles& files() const { return *files_; }

  const text::ChatTemplates& chat() const { return chat_->templates; }
  // "model": the model's own templates; else which format stands in for them.
  std::string_view chat_format() const { return chat_->format; }

  // The conversation as the model wants to see it, whichever of its forms the client used. kInvalidArgument when the template refuses the
  // conversation or needs more than its budget.
  Result<std::string> Render(text::ChatInput input) const;

  // `text` as tokens, special tokens recognised. More than `max_tokens` end the work early with kInvalidArgument.
  Result<std::vector<TokenId>> Encode(std::string_view text, const text::EncodeOptions& options) const {
    return tokenizer_->Encode(text, options);
  }
  std::string Decode(std::span<const TokenId> tokens) const { return tokenizer_->Decode(tokens, true); }

 private:
  ModelEntry() = default;
  Status TakeText(const model::ModelFile& file);
  Status TakeSampling(const model::ModelSource& source);

  ModelOptions options_;
  std::optional<model::OpenedModelFiles> files_;
  model::ModelConfig config_;
  uint32_t context_ = 0;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::optional<model::ModelChat> chat_;
};

}  // namespace millrace::gateway
