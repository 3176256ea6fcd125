// likelihood MODEL.gguf TOKENS.json WINDOW fast|reference: mean negative log-likelihood (nats) of token ids under our own forward pass, in
// windows that each start from nothing; the first token of a window is not predicted. Prints {"nll", "tokens"}, like tools/reference_nll.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "model_driver.h"

namespace millrace {
namespace {

double NegativeLogLikelihood(const std::vector<float>& logits, TokenId token) {
  float best = logits[0];
  for (const float value : logits) best = std::max(best, value);
  double sum = 0;
  for (const float value : logits) sum += std::exp(double{value} - best);
  return std::log(sum) + best - double{logits[static_cast<size_t>(token)]};
}

Status Measure(const std::string& path, const std::vector<TokenId>& tokens, size_t window, bool reference) {
  backend_cpu::CpuOptions options;
  options.reference = reference;
  if (reference) options.kv_type = model::KvType::kF32;
  options.slots = 1;
  options.context = static_cast<uint32_t>(window);
  options.max_batch_tokens = 128;  // rows of logits are large: vocab floats each
  ASSIGN_OR_RETURN(const auto driver, ModelDriver::Open(path, options));
  double total = 0;
  size_t count = 0;
  for (size_t begin = 0; begin < tokens.size(); begin += window) {
    const size_t end = std::min(tokens.size(), begin + window);
    driver->Restart(0);
    for (size_t at = begin; at < end; at += options.max_batch_tokens) {
      const size_t stop = std::min<size_t>(end, at + options.max_batch_tokens);
      const auto rows = driver->Step(
          {{.slot = 0,
            .tokens = {tokens.begin() + static_cast<std::ptrdiff_t>(at), tokens.begin() + static_cast<std::ptrdiff_t>(stop)}}});
      RETURN_IF_ERROR(rows);
      for (size_t i = at; i < stop && i + 1 < end; ++i, ++count) total += NegativeLogLikelihood((*rows)[i - at], tokens[i + 1]);
    }
  }
  std::printf("{\"nll\": %.10f, \"tokens\": %zu}\n", total / static_cast<double>(count), count);
  return {};
}

int Main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: likelihood MODEL.gguf TOKENS.json WINDOW fast|reference\n");
    return 2;
  }
  std::ifstream in(argv[2], std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const auto json = Json::Parse(text);
  if (!json.ok() || !json->is_array()) return std::fprintf(stderr, "%s: expected a list of token ids\n", argv[2]), 1;
  std::vector<TokenId> tokens;
  for (const Json& token : json->items()) tokens.push_back(static_cast<TokenId>(token.as_double()));
  const Status status = Measure(argv[1], tokens, static_cast<size_t>(std::atoi(argv[3])), std::string(argv[4]) == "reference");
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) { return millrace::Main(argc, argv); }
