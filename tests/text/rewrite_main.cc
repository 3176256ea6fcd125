// text_rewrite: the tokenizer of a model file, written as tokenizer.json and the files beside it.
//
//   text_rewrite MODEL DIRECTORY    MODEL as `millrace tokenize` takes it; the directory exists
#include <cstdio>
#include <fstream>
#include <string>

#include "model/model_files.h"
#include "model/model_source.h"
#include "model/model_text.h"
#include "model/tokenizer_writer.h"
#include "os/file.h"

namespace millrace::model {
namespace {

Result<text::TokenizerSpec> ReadSpec(const std::string& path) {
  constexpr size_t kMaxBytes = size_t{64} << 20;
  if (path.ends_with(kTokenizerFile)) {
    ASSIGN_OR_RETURN(const std::string json, ReadSmallFile(path, kMaxBytes));
    const NamedFile file{kTokenizerFile, std::as_bytes(std::span(json))};
    return TokenizerSpecOfFiles({&file, 1});
  }
  ASSIGN_OR_RETURN(const auto opened, OpenedModelFiles::Open(path));
  ASSIGN_OR_RETURN(const auto mapped, opened.Map());
  ASSIGN_OR_RETURN(const auto source, ModelSource::Parse(mapped.files()));
  return TokenizerSpecOf(source, std::nullopt);
}

Status Rewrite(const std::string& path, const std::string& directory) {
  ASSIGN_OR_RETURN(const auto spec, ReadSpec(path));
  ASSIGN_OR_RETURN(const auto files, TokenizerFilesOf(spec, ""));
  for (const auto& [name, content] : files) {
    std::ofstream out(directory + "/" + name, std::ios::binary);
    out << content;
    if (!out.flush()) return Error(Code::kInternal, "{}/{}: cannot be written", directory, name);
  }
  return {};
}

}  // namespace
}  // namespace millrace::model

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const millrace::Status status = millrace::model::Rewrite(argv[1], argv[2]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
