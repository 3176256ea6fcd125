// text_encode: encodes length-prefixed strings from standard input, for tests/text/compare_tokenizers.
//
//   text_encode MODEL [--special]    strings in: u32 length, bytes; out: u32 count, i32 ids (little-endian)
//   text_encode MODEL --bench FILE   prints the rate of encoding FILE as one text
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/model_files.h"
#include "model/model_source.h"
#include "model/model_text.h"
#include "text/tokenizer.h"

namespace millrace::text {
namespace {

Result<TokenizerSpec> ReadSpec(const char* path) {
  ASSIGN_OR_RETURN(const auto opened, model::OpenedModelFiles::Open(path));
  ASSIGN_OR_RETURN(const auto mapped, opened.Map());
  ASSIGN_OR_RETURN(const auto source, model::ModelSource::Parse(mapped.files()));
  return model::TokenizerSpecOf(source, std::nullopt);
}

double MillisecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

int Bench(const Tokenizer& tokenizer, const char* path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  double best = 1e30;
  size_t tokens = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (int round = 0; round < 20 && MillisecondsSince(begin) < 3000; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const Result<std::vector<TokenId>> ids = tokenizer.Encode(text);
    if (!ids.ok()) {
      std::fprintf(stderr, "%s\n", ids.status().ToString().c_str());
      return 1;
    }
    best = std::min(best, MillisecondsSince(start));
    tokens = ids->size();
  }
  std::printf("%s: %zu bytes, %zu tokens, %.2f ms, %.2f MB/s\n", path, text.size(), tokens, best,
              static_cast<double>(text.size()) / best / 1000);
  return 0;
}

int EncodeAll(const Tokenizer& tokenizer, bool parse_special) {
  uint32_t length = 0;
  std::string text;
  while (std::fread(&length, sizeof(length), 1, stdin) == 1) {
    text.resize(length);
    if (length > 0 && std::fread(text.data(), length, 1, stdin) != 1) return 1;
    const Result<std::vector<TokenId>> ids = tokenizer.Encode(text, {.parse_special = parse_special});
    if (!ids.ok()) {
      std::fprintf(stderr, "%s\n", ids.status().ToString().c_str());
      return 1;
    }
    const auto count = static_cast<uint32_t>(ids->size());
    std::fwrite(&count, sizeof(count), 1, stdout);
    std::fwrite(ids->data(), sizeof(TokenId), ids->size(), stdout);
  }
  return 0;
}

int Main(int argc, char** argv) {
  if (argc < 2) return 2;
  const Result<TokenizerSpec> spec = ReadSpec(argv[1]);
  if (!spec.ok()) {
    std::fprintf(stderr, "%s\n", spec.status().ToString().c_str());
    return 1;
  }
  const auto start = std::chrono::steady_clock::now();
  const auto tokenizer = Tokenizer::Create(*spec);
  if (!tokenizer.ok()) {
    std::fprintf(stderr, "%s\n", tokenizer.status().ToString().c_str());
    return 1;
  }
  std::fprintf(stderr, "tokenizer %.1f ms\n", MillisecondsSince(start));
  const std::string_view mode = argc > 2 ? argv[2] : "";
  if (mode == "--bench" && argc > 3) return Bench(**tokenizer, argv[3]);
  return EncodeAll(**tokenizer, mode == "--special");
}

}  // namespace
}  // namespace millrace::text

int main(int argc, char** argv) { return millrace::text::Main(argc, argv); }
