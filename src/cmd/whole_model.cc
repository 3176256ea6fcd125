#include "cmd/whole_model.h"

#include <utility>

namespace millrace::cmd {

Result<WholeModel> OpenWholeModel(std::string_view name) {
  ASSIGN_OR_RETURN(OpenedModel opened, OpenModel(name));
  auto file = model::ModelFile::Parse(opened.mapped.files());
  if (!file.ok()) return file.status().Within(opened.entry.file);
  return WholeModel{.opened = std::move(opened), .file = *std::move(file)};
}

}  // namespace millrace::cmd
