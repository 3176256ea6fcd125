// Golden checkpoints (tests/golden, written by tools/make_golden): tiny models and the logits they must give.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "base/types.h"
#include "model/model_file.h"
#include "model/model_files.h"
#include "os/file.h"

namespace millrace::model::testing {

// The names of all folders, sorted.
inline std::vector<std::string> GoldenNames(const std::string& root) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct GoldenCase {
  std::string name;
  std::vector<TokenId> tokens;
  std::vector<uint32_t> positions;             // of the tokens after which logits are known, ascending
  std::vector<std::span<const float>> logits;  // [positions][vocab]
};

struct Golden {
  std::unique_ptr<const MappedModelFiles> mapped;
  std::unique_ptr<const ModelFile> file;  // points into mapped
  float rms = 0;                          // of all reference logits
  std::vector<float> logits;
  std::vector<GoldenCase> cases;  // point into logits
};

inline Status ReadGoldenCases(const Json& golden, Golden& out) {
  const size_t vocab = out.file->config().vocab;
  for (const Json& entry : golden.Find("cases")->items()) {
    GoldenCase test{.name = entry.Find("name")->as_string(), .tokens = {}, .positions = {}, .logits = {}};
    for (const Json& token : entry.Find("tokens")->items()) test.tokens.push_back(static_cast<TokenId>(*token.as_int64()));
    const auto first_row = static_cast<size_t>(*entry.Find("first_row")->as_int64());
    for (const Json& position : entry.Find("positions")->items()) {
      const size_t at = (first_row + test.positions.size()) * vocab;
      if (at + vocab > out.logits.size()) return Error(Code::kDataLoss, "case {}: more positions than rows of logits", test.name);
      test.positions.push_back(static_cast<uint32_t>(*position.as_int64()));
      test.logits.push_back(std::span(out.logits).subspan(at, vocab));
    }
    out.cases.push_back(std::move(test));
  }
  return {};
}

// `folder`: ".../tests/golden/NAME", which holds a model.gguf or is the model's directory. The files are ours: only their presence is an
// error, a wrong layout ends the test.
inline Result<Golden> LoadGolden(const std::string& folder) {
  Golden out;
  const std::string gguf = folder + "/model.gguf";
  ASSIGN_OR_RETURN(const auto opened, OpenedModelFiles::Open(std::filesystem::exists(gguf) ? gguf : folder));
  ASSIGN_OR_RETURN(auto mapped, opened.Map());
  out.mapped = std::make_unique<const MappedModelFiles>(std::move(mapped));
  ASSIGN_OR_RETURN(auto file, ModelFile::Parse(out.mapped->files()));
  out.file = std::make_unique<const ModelFile>(std::move(file));
  ASSIGN_OR_RETURN(const auto raw, ReadSmallFile(folder + "/logits.bin", size_t{16} << 20));
  out.logits.resize(raw.size() / sizeof(float));
  std::memcpy(out.logits.data(), raw.data(), out.logits.size() * sizeof(float));
  ASSIGN_OR_RETURN(const auto text, ReadSmallFile(folder + "/golden.json", size_t{1} << 20));
  ASSIGN_OR_RETURN(const auto golden, Json::Parse(text));
  out.rms = static_cast<float>(golden.Find("rms")->as_double());
  RETURN_IF_ERROR(ReadGoldenCases(golden, out));
  return out;
}

}  // namespace millrace::model::testing
