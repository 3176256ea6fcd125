// Golden checkpoints (tests/golden, written by tools/make_golden): tiny models and the logits they must give.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "base/types.h"
#include "model/model_file.h"
#include "os/file.h"
#include "os/mapping.h"

namespace millrace::model::testing {

inline const std::vector<std::string> kGoldenNames = {"tiny-f32", "tiny-q4", "tiny-q4-untied", "tiny-q8"};

struct GoldenCase {
  std::string name;
  std::vector<TokenId> tokens;
  std::vector<uint32_t> positions;             // of the tokens after which logits are known, ascending
  std::vector<std::span<const float>> logits;  // [positions][vocab]
};

struct Golden {
  FileMapping mapping;
  std::unique_ptr<const ModelFile> file;  // points into mapping
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

// `folder`: ".../tests/golden/NAME". The files are ours: only their presence is an error, a wrong layout ends the test.
inline Result<Golden> LoadGolden(const std::string& folder) {
  Golden out;
  ASSIGN_OR_RETURN(const auto opened, OpenRegularFile(folder + "/model.gguf"));
  ASSIGN_OR_RETURN(out.mapping, FileMapping::Map(opened.fd.get(), opened.identity.size_bytes));
  ASSIGN_OR_RETURN(auto file, ModelFile::Parse(out.mapping.bytes()));
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
