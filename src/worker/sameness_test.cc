// The promise of the CPU engine with everything real but the model's size: the same request gives the same tokens and the same bits of
// log-probability alone or in any batch, chunking, number of threads and instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "os/file.h"
#include "worker/model_loader.h"

namespace millrace::worker {
namespace {

struct Answer {
  std::vector<TokenId> tokens;
  std::vector<uint32_t> bits;  // of every reported logprob, best tokens included

  bool operator==(const Answer&) const = default;
};

class Collector final : public engine::OutputSink {
 public:
  bool Take(const engine::Output& output) override {
    EXPECT_EQ(output.error, nullptr);
    Answer& answer = answers[output.request];
    answer.tokens.insert(answer.tokens.end(), output.tokens.begin(), output.tokens.end());
    for (const float logprob : output.logprobs) answer.bits.push_back(std::bit_cast<uint32_t>(logprob));
    for (const model::TopToken& top : output.top) answer.bits.push_back(std::bit_cast<uint32_t>(top.logprob));
    return true;
  }
  std::map<RequestId, Answer> answers;
};

std::vector<engine::Request> RandomRequests(std::mt19937& random, uint32_t vocab) {
  std::vector<engine::Request> requests;
  for (RequestId id = 1; id <= 5; ++id) {
    engine::Request request;
    request.id = id;
    const size_t prompt = 1 + random() % 90;
    for (size_t i = 0; i < prompt; ++i) request.prompt.push_back(static_cast<TokenId>(random() % vocab));
    request.sampling.seed = random();
    request.sampling.temperature = id % 2 == 0 ? 0.8F : 0.0F;
    request.sampling.top_p = 0.95F;
    request.sampling.ignore_eos = true;
    request.sampling.max_tokens = static_cast<uint32_t>(4 + random() % 24);
    request.sampling.top_logprobs = 5;
    requests.push_back(std::move(request));
  }
  return requests;
}

std::map<RequestId, Answer> Answers(const std::string& path, const LoadOptions& options,
                                    const std::vector<engine::Request>& requests, std::mt19937& random) {
  const RegularFile file = OpenRegularFile(path).value();
  auto model = LoadModelFromFile(file.fd.get(), options);
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  Collector collector;
  for (const engine::Request& request : requests) {
    EXPECT_TRUE(model->engine->Submit(request).ok());
    for (size_t steps = random() % 4; steps > 0; --steps) EXPECT_TRUE(model->engine->Step().ok());
  }
  while (model->engine->HasWork()) EXPECT_TRUE(model->engine->Step().ok());
  model->engine->Publish(collector);
  return collector.answers;
}

TEST(Sameness, AloneOrInAnyBatchChunkingThreadsAndInstructionSet) {
  for (const char* const name : {"tiny-q4", "tiny-q8", "tiny-q4-untied", "tiny-f32"}) {
    const std::string path = std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/" + name + "/model.gguf";
    std::mt19937 random(static_cast<uint32_t>(name[5] + name[6]));
    const std::vector<engine::Request> requests = RandomRequests(random, 250);
    std::map<RequestId, Answer> alone;
    for (const engine::Request& request : requests) alone.merge(Answers(path, {.slots = 1, .threads = 1}, {request}, random));
    for (int round = 0; round < 6; ++round) {
      LoadOptions options;
      options.slots = static_cast<uint32_t>(2 + random() % 4);
      options.threads = static_cast<uint32_t>(1 + random() % 3);
      options.prefill_chunk = static_cast<uint32_t>(1 + random() % 60);
      options.isa = kernels::IsaName(kernels::AvailableIsas()[random() % kernels::AvailableIsas().size()]);
      const auto answers = Answers(path, options, requests, random);
      for (const engine::Request& request : requests) {
        EXPECT_EQ(answers.at(request.id), alone.at(request.id))
            << name << " request " << request.id << ": slots " << options.slots << ", threads " << options.threads << ", chunk "
            << options.prefill_chunk << ", " << options.isa;
      }
    }
  }
}

}  // namespace
}  // namespace millrace::worker
