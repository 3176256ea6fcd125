// A model opened for commands that look into it: mappings and what was parsed from them together, so that neither outlives the other.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "cmd/store.h"
#include "model/chat_template_source.h"
#include "model/model_files.h"
#include "model/model_source.h"
#include "text/tokenizer.h"

namespace millrace::cmd {

struct OpenedModel {
  StoreEntry entry;
  model::MappedModelFiles mapped;
  model::ModelSource source;  // views into `mapped`
};

// Store name, GGUF file, or directory. Errors name the path.
Result<OpenedModel> OpenModel(std::string_view name);

Result<std::shared_ptr<const text::Tokenizer>> OpenTokenizer(const OpenedModel& model);
// The same for models of which only the tokenizer is wanted: also a directory with a tokenizer.json and no weights, that file itself, and a GGUF
// file without tensors.
Result<std::shared_ptr<const text::Tokenizer>> OpenTokenizerOf(std::string_view name);
Result<model::ModelChat> OpenChat(const OpenedModel& model);

}  // namespace millrace::cmd
