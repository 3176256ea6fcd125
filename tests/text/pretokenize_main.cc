// text_pretokenize: cuts strings by pre-tokenizer steps, for tests/text/compare_pretokenizers.
//
//   text_pretokenize STEPS           STEPS: a JSON list in the form of tokenizer.json. Strings in: u32 length, bytes; out: u32 count, then u32
//                                    length and bytes of each piece (little-endian). Exit code 2 when the steps are refused.
//   text_pretokenize STEPS --bench   prints the rate of cutting standard input
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "text/pretokenizer.h"
#include "text/test_pretokenizer_steps.h"

namespace millrace::text {
namespace {

int Refuse(const Status& status, int code) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return code;
}

void Write(size_t number) {
  const auto word = static_cast<uint32_t>(number);
  std::fwrite(&word, sizeof(word), 1, stdout);
}

int CutAll(const PreTokenizer& cutter) {
  uint32_t length = 0;
  std::string text;
  std::vector<std::string> pieces;
  while (std::fread(&length, sizeof(length), 1, stdin) == 1) {
    text.resize(length);
    if (length > 0 && std::fread(text.data(), length, 1, stdin) != 1) return 1;
    pieces.clear();
    const Status status = cutter.Split(text, true, [&](std::string_view piece) {
      pieces.emplace_back(piece);
      return true;
    });
    if (!status.ok()) return Refuse(status, 1);
    Write(pieces.size());
    for (const std::string& piece : pieces) {
      Write(piece.size());
      std::fwrite(piece.data(), 1, piece.size(), stdout);
    }
  }
  return 0;
}

int Bench(const PreTokenizer& cutter) {
  std::string text;
  char block[4096];
  for (size_t got = 0; (got = std::fread(block, 1, sizeof(block), stdin)) > 0;) text.append(block, got);
  double best = 1e30;
  size_t pieces = 0;
  for (int round = 0; round < 5; ++round) {
    pieces = 0;
    const auto start = std::chrono::steady_clock::now();
    const Status status = cutter.Split(text, true, [&](std::string_view) { return ++pieces > 0; });
    if (!status.ok()) return Refuse(status, 1);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::printf("%zu bytes, %zu pieces, %.1f MB/s\n", text.size(), pieces, static_cast<double>(text.size()) / best / 1e6);
  return 0;
}

int Main(int argc, char** argv) {
  const auto json = Json::Parse(argc > 1 ? argv[1] : "");
  if (!json.ok()) return Refuse(json.status(), 1);
  std::vector<PreTokenizerStep> steps;
  for (const Json& step : json->items()) steps.push_back(PreTokenizerStepOf(step).value());
  const auto cutter = PreTokenizer::Create(steps);
  if (!cutter.ok()) return Refuse(cutter.status(), 2);
  return argc > 2 ? Bench(**cutter) : CutAll(**cutter);
}

}  // namespace
}  // namespace millrace::text

int main(int argc, char** argv) { return millrace::text::Main(argc, argv); }
