// A thousand lives of a whole gateway: simulated clients that read slowly, leave and come in crowds; simulated workers that die, stall,
// answer late and lie. Whatever happens, every accepted request ends exactly once, and no client ever sees a token of another's answer.
//
// A failure prints its seed; MILLRACE_SIM_SEED=N runs that life alone, MILLRACE_SIM_SEEDS=N so many of them.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/log.h"
#include "gateway/random.h"
#include "gateway/testing/sim_gateway.h"

namespace millrace::gateway {
namespace {

using namespace millrace::gateway::testing;

// What the worker answers to the message "NONCE LENGTH": the nonce over and over, so that a stray token cannot hide.
std::string AnswerTo(std::string_view message) {
  const size_t space = message.find(' ');
  const std::string nonce(message.substr(0, space));
  const size_t length = std::strtoul(std::string(message.substr(space + 1)).c_str(), nullptr, 10);
  std::string text;
  for (size_t i = 0; text.size() < length; ++i) text += fmt::format("<{}:{}>", nonce, i);
  text.resize(length);
  return text;
}

struct Plan {
  std::string message;
  std::string expected;  // if nothing goes wrong
  std::string reason;
  bool stream = false, logprobs = false, slow = false;
  SimClient* client = nullptr;
};

class Life {
 public:
  explicit Life(uint64_t seed) : seed_(seed), random_(seed), sim_(Sim(), Options(), Worker()) {}

  void Run() {
    const size_t count = 4 + random_.Next() % 20;
    std::vector<Plan> plans(count);
    std::vector<int64_t> arrivals(count);
    for (int64_t& arrival : arrivals) arrival = Up(10 * kSecond);
    const bool drain_early = OneIn(8);
    const int64_t drain_at = drain_early ? Up(12 * kSecond) : -1;
    bool drained = false;
    for (size_t i = 0; i < count; ++i) {
      plans[i] = MakePlan(i);
      sim_.loop().At(sim_.loop().NowNs() + arrivals[i],
                     [this, &plan = plans[i]] { plan.client = &sim_.Connect(ClientOf(plan)); });
    }
    if (drain_early) {
      sim_.loop().At(sim_.loop().NowNs() + drain_at, [&] { sim_.gateway().Drain([&] { drained = true; }); });
    }
    const auto all_done = [&] {
      return std::all_of(plans.begin(), plans.end(),
                         [](const Plan& plan) { return plan.client != nullptr && plan.client->done(); });
    };
    EXPECT_TRUE(sim_.RunUntil(all_done, 3600 * kSecond)) << "a request never ended";
    for (const Plan& plan : plans) Check(plan, drain_early);
    Settle(drain_early, drained);
  }

  const std::set<std::string>& endings() const { return endings_; }

 private:
  bool OneIn(uint64_t n) { return random_.Next() % n == 0; }
  int64_t Up(int64_t limit) { return static_cast<int64_t>(random_.Next() % static_cast<uint64_t>(limit)); }
  double Rate(double most) { return OneIn(2) ? 0 : most * random_.NextUnit(); }

  net::SimOptions Sim() {
    net::SimOptions sim;
    sim.seed = seed_;
    resets_ = OneIn(4);
    sim.reset_probability = resets_ ? 0.002 : 0;
    sim.pipe_bytes = OneIn(2) ? 4 << 10 : 64 << 10;
    return sim;
  }

  GatewayOptions Options() {
    GatewayOptions options = SimGateway::DefaultOptions();
    options.models[0].max_waiting = static_cast<uint32_t>(random_.Next() % 12);
    return options;
  }

  SimWorkerOptions Worker() {
    SimWorkerOptions worker = SimGateway::DefaultWorker();
    worker.slots = static_cast<uint32_t>(1 + random_.Next() % 6);
    worker.step_ns = kMs * (1 + Up(40));
    worker.load_ns = kMs * (1 + Up(500));
    worker.answer = [](const std::vector<TokenId>& prompt) {
      const std::string text = TextOf(prompt);
      const size_t begin = text.rfind("user\n") + 5;
      return TokensOf(AnswerTo(text.substr(begin, text.find('\n', begin) - begin)));
    };
    worker.faults = {.die = Rate(0.02),
                     .stall = Rate(0.004),
                     .late = Rate(0.01),
                     .garbage = Rate(0.01),
                     .die_while_loading = Rate(0.3),
                     .mute = Rate(0.1),
                     .cannot_start = Rate(0.2)};
    return worker;
  }

  Plan MakePlan(size_t index) {
    Plan plan;
    const size_t length = OneIn(10) ? 3000 : static_cast<size_t>(Up(200));
    plan.message = fmt::format("{:x}-{} {}", seed_, index, length);
    plan.expected = AnswerTo(plan.message);
    plan.reason = "stop";
    plan.stream = !OneIn(3);
    plan.logprobs = OneIn(4);
    return plan;
  }

  SimClientOptions ClientOf(Plan& plan) {
    SimClientOptions client;
    client.path = kChat;
    std::string more = plan.stream ? R"("stream":true)" : R"("stream":false)";
    if (plan.logprobs) more += R"(,"logprobs":true,"top_logprobs":2)";
    if (OneIn(4)) {
      const size_t limit = static_cast<size_t>(1 + Up(100));
      more += fmt::format(R"(,"max_tokens":{})", limit);
      if (plan.expected.size() >= limit) {
        plan.expected.resize(limit);
        plan.reason = "length";
      }
    }
    if (OneIn(4)) {
      more += R"(,"stop":[":3>","nowhere"])";
      if (const size_t at = plan.expected.find(":3>"); at != std::string::npos) {
        plan.expected.resize(at);
        plan.reason = "stop";
      }
    }
    client.body = ChatBody(plan.message, more);
    if (OneIn(6)) client.leave_after_bytes = static_cast<size_t>(1 + Up(4000));
    if (OneIn(6)) client.leave_after_ns = Up(3 * kSecond);
    if (OneIn(8)) {
      client.pause_ns = Up(60 * kSecond);
      plan.slow = client.pause_ns > 0;
    }
    return client;
  }

  std::string Context(const Plan& plan) const {
    const Answer answer = plan.client->Parse();
    return fmt::format(
        "seed {}, message '{}', status {}, bytes {}: …{}", seed_, plan.message, answer.status, plan.client->bytes().size(),
        plan.client->bytes().substr(plan.client->bytes().size() - std::min<size_t>(plan.client->bytes().size(), 700)));
  }

  void Check(const Plan& plan, bool drained) {
    const Answer answer = plan.client->Parse();
    const bool own_doing = plan.client->left() || plan.slow || resets_;
    if (answer.status == 0) {
      EXPECT_TRUE(own_doing || drained) << Context(plan);
      endings_.insert("nothing");
      return;
    }
    if (!answer.whole) {
      EXPECT_TRUE(own_doing) << "cut off: " << Context(plan);
      if (answer.status == 200 && plan.stream) {
        EXPECT_TRUE(plan.expected.starts_with(ReadChatEvents(answer.body).content)) << Context(plan);
      }
      endings_.insert("left");
      return;
    }
    if (answer.status != 200) return CheckRefusal(plan, answer);
    if (plan.stream) {
      CheckStream(plan, ReadChatEvents(answer.body));
    } else {
      CheckWhole(plan, answer);
    }
  }

  void CheckRefusal(const Plan& plan, const Answer& answer) {
    EXPECT_TRUE(answer.status == 503 || answer.status == 500) << Context(plan);
    const auto body = Json::Parse(answer.body);
    ASSERT_TRUE(body.ok() && body->Find("error") != nullptr) << Context(plan);
    endings_.insert(body->Find("error")->Find("code")->as_string());
  }

  void CheckStream(const Plan& plan, const ChatEvents& events) {
    EXPECT_TRUE(events.well_formed) << Context(plan);
    EXPECT_EQ(events.finishes + events.errors, 1) << Context(plan);
    EXPECT_EQ(events.dones, 1) << Context(plan);
    EXPECT_LE(events.roles, 1) << Context(plan);
    EXPECT_EQ(events.usages, 0) << Context(plan);
    if (events.errors > 0) {
      EXPECT_TRUE(plan.expected.starts_with(events.content)) << Context(plan);
      endings_.insert("error event");
      return;
    }
    EXPECT_EQ(events.content, plan.expected) << Context(plan);
    EXPECT_EQ(events.finish_reason, plan.reason) << Context(plan);
    EXPECT_EQ(events.roles, 1) << Context(plan);
    endings_.insert("stream complete");
  }

  void CheckWhole(const Plan& plan, const Answer& answer) {
    const auto body = Json::Parse(answer.body);
    ASSERT_TRUE(body.ok()) << Context(plan);
    const Json& choice = body->Find("choices")->items()[0];
    EXPECT_EQ(choice.Find("message")->Find("content")->as_string(), plan.expected) << Context(plan);
    EXPECT_EQ(choice.Find("finish_reason")->as_string(), plan.reason) << Context(plan);
    if (plan.logprobs) {
      EXPECT_EQ(choice.Find("logprobs")->Find("content")->items().size(), plan.expected.size()) << Context(plan);
    }
    endings_.insert("reply complete");
  }

  // Faults stop: nothing may be left over, the gateway must serve again, and stop without leaving timers behind.
  void Settle(bool drain_early, bool& drained) {
    sim_.launcher().options().faults = {};
    const auto idle = [&] { return sim_.model().running + sim_.model().waiting == 0; };
    EXPECT_TRUE(sim_.RunUntil(idle, 100 * kSecond)) << "requests are left over";
    if (!drain_early) {
      EXPECT_TRUE(sim_.RunUntil([&] { return sim_.model().state == ModelState::kReady; }, 3600 * kSecond)) << sim_.model().cause;
      // The worker may still stall over what an earlier fault left; the next one serves.
      for (int attempt = 0; attempt < 30; ++attempt) {
        sim_.RunUntil([&] { return sim_.model().state == ModelState::kReady; }, 3600 * kSecond);
        const Answer answer = sim_.Ask(kChat, ChatBody("last 20"));
        if (answer.status == 200) {
          EXPECT_NE(answer.body.find("<last:0><last:1><las"), std::string::npos) << answer.body;
          drained = true;
          break;
        }
      }
      EXPECT_TRUE(drained) << "the gateway does not serve any more";
      drained = false;
      sim_.gateway().Drain([&] { drained = true; });
    }
    EXPECT_TRUE(sim_.RunUntil([&] { return drained; }, 100 * kSecond)) << "the drain does not end";
    sim_.Destroy();
    int left = 0;
    while (left < 5000 && sim_.loop().Step()) ++left;
    EXPECT_LT(left, 5000) << "something keeps ticking after the end";
  }

  const uint64_t seed_;
  Random random_;
  bool resets_ = false;
  SimGateway sim_;
  std::set<std::string> endings_;
};

uint64_t Setting(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

TEST(Simulation, EveryRequestEndsExactlyOnce) {
  StartLog("simulation", LogLevel::kError);
  const uint64_t first = Setting("MILLRACE_SIM_SEED", 1);
  const uint64_t count = Setting("MILLRACE_SIM_SEEDS", std::getenv("MILLRACE_SIM_SEED") == nullptr ? 1000 : 1);
  std::set<std::string> endings;
  for (uint64_t seed = first; seed < first + count && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("MILLRACE_SIM_SEED={}", seed));
    Life life(seed);
    life.Run();
    endings.insert(life.endings().begin(), life.endings().end());
  }
  StartLog("test", LogLevel::kInfo);
  if (count < 1000) return;
  // A simulation in which nothing goes wrong proves nothing.
  for (const char* ending : {"stream complete", "reply complete", "error event", "left", "unavailable", "overloaded",
                             "model_not_ready", "model_failed"}) {
    EXPECT_EQ(endings.count(ending), 1U) << "never happened: " << ending;
  }
}

}  // namespace
}  // namespace millrace::gateway
