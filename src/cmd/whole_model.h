// A model opened with all of its weights, in whatever form it lies on disk, for commands that compute with them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "model/model_file.h"
#include "model/model_files.h"
#include "text/tokenizer.h"

namespace millrace::cmd {

struct WholeModel {
  std::string name;  // for people
  std::string path;
  model::MappedModelFiles mapped;
  model::ModelFile file;  // views into `mapped`
};

// Store name, .gguf file, or directory with config.json. Errors name the path.
Result<WholeModel> OpenWholeModel(std::string_view name);

Result<std::shared_ptr<const text::Tokenizer>> TokenizerOf(const WholeModel& model);

}  // namespace millrace::cmd
