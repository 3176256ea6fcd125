// bench_tokenize MODEL FILE...: encodes texts when asked, for the program bench/tokenize beside it.
//
// FILE: documents, each a u32 length (little-endian) and its bytes. For each line of standard input with the number of a FILE, counted from 0, all
// its documents are encoded once, and a line of JSON answers: {"seconds":S,"bytes":N,"tokens":N}.
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "cmd/opened_model.h"

namespace millrace {
namespace {

using Documents = std::vector<std::string>;

Result<Documents> ReadDocuments(const char* path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error(Code::kNotFound, "{} cannot be read", path);
  Documents out;
  uint32_t length = 0;
  while (in.read(reinterpret_cast<char*>(&length), sizeof(length))) {
    std::string& text = out.emplace_back(length, '\0');
    if (!in.read(text.data(), length)) return Error(Code::kInvalidArgument, "{}: the last document is cut off", path);
  }
  return out;
}

Status EncodeAll(const text::Tokenizer& tokenizer, const Documents& documents) {
  size_t bytes = 0, tokens = 0;
  const int64_t start = MonotonicNs();
  for (const std::string& text : documents) {
    ASSIGN_OR_RETURN(const auto ids, tokenizer.Encode(text));
    bytes += text.size();
    tokens += ids.size();
  }
  const double seconds = static_cast<double>(MonotonicNs() - start) / 1e9;
  std::printf("{\"seconds\":%.9f,\"bytes\":%zu,\"tokens\":%zu}\n", seconds, bytes, tokens);
  std::fflush(stdout);
  return {};
}

Status Serve(int argc, char** argv) {
  if (argc < 3) return Error(Code::kInvalidArgument, "usage: bench_tokenize MODEL FILE...");
  ASSIGN_OR_RETURN(const auto tokenizer, cmd::OpenTokenizerOf(argv[1]));
  std::vector<Documents> files;
  for (int i = 2; i < argc; ++i) {
    ASSIGN_OR_RETURN(files.emplace_back(), ReadDocuments(argv[i]));
  }
  for (std::string line; std::getline(std::cin, line);) {
    size_t number = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    if (error != std::errc() || number >= files.size()) return Error(Code::kInvalidArgument, "'{}' is no number of a file", line);
    RETURN_IF_ERROR(EncodeAll(*tokenizer, files[number]));
  }
  return {};
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  const millrace::Status status = millrace::Serve(argc, argv);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
