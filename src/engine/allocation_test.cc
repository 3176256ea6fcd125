// Counts every allocation of the process: decode steps may make none.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "engine/engine.h"
#include "engine/fake_runner.h"

namespace {
std::atomic<long> allocations{0};  // only counts; publishes nothing
}  // namespace

void* operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace millrace::engine {
namespace {

void DecodeWithoutAllocating(uint32_t depth) {
  auto created = Engine::Create(
      std::make_unique<FakeRunner>(FakeRunnerOptions{.slots = 4, .blocks = 400, .context = 400, .depth = depth}), {});
  ASSERT_TRUE(created.ok());
  Engine& engine = **created;
  for (RequestId id = 1; id <= 4; ++id) {
    Request request;
    request.id = id;
    request.prompt = {1, 2, 3};
    request.sampling.ignore_eos = true;
    request.sampling.stop_tokens = {99};
    request.sampling.min_tokens = 390;
    request.sampling.seed = id;
    if (id == 2) request.sampling.temperature = 0;
    if (id >= 3) request.sampling.top_logprobs = 5;
    if (id == 3) request.sampling.top_p = 0.9F;
    if (id == 4) {
      request.sampling.top_k = 20;
      request.sampling.min_p = 0.1F;
      request.sampling.frequency_penalty = 0.5F;
      request.sampling.repetition_penalty = 1.1F;
      request.sampling.logit_bias = {{4, 2.0F}};
    }
    ASSERT_TRUE(engine.Submit(request).ok());
  }
  for (int step = 0; step < 10; ++step) ASSERT_TRUE(engine.Step().ok());
  ASSERT_EQ(engine.Stats().running, 4U);
  const long before = allocations.load();
  for (int step = 0; step < 300; ++step) ASSERT_TRUE(engine.Step().ok());
  EXPECT_EQ(allocations.load() - before, 0);
  EXPECT_EQ(engine.Stats().running, 4U);
  EXPECT_GT(before, 0);
}

TEST(Engine, DecodeStepsDoNotAllocate) { DecodeWithoutAllocating(1); }
TEST(Engine, DecodeStepsTwoDeepDoNotAllocate) { DecodeWithoutAllocating(2); }

}  // namespace
}  // namespace millrace::engine
