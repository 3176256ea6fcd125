// A model file opened for commands that look into it: mapping and parsed metadata together, so that neither outlives the other.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "cmd/store.h"
#include "model/model_file.h"
#include "os/mapping.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace millrace::cmd {

struct OpenedModel {
  StoreEntry entry;
  FileMapping mapping;
  weights::GgufFile gguf;  // views into `mapping`
};

// Store name or path. Errors name the file.
Result<OpenedModel> OpenModel(std::string_view name);

Result<std::shared_ptr<const text::Tokenizer>> OpenTokenizer(const OpenedModel& model);
Result<text::ChatTemplate> OpenTemplate(const OpenedModel& model);

}  // namespace millrace::cmd
