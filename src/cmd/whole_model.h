// A model opened with all of its weights, for commands that compute with them.
#pragma once

#include <string_view>

#include "base/status.h"
#include "cmd/opened_model.h"
#include "model/model_file.h"

namespace millrace::cmd {

struct WholeModel {
  OpenedModel opened;
  model::ModelFile file;  // views into what is opened

  const std::string& name() const { return opened.entry.alias; }  // for people
  const std::string& path() const { return opened.entry.file; }
};

// Store name, .gguf file, or directory. Errors name the path.
Result<WholeModel> OpenWholeModel(std::string_view name);

}  // namespace millrace::cmd
