// A whole gateway inside a simulated loop, with simulated workers and clients.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "gateway/gateway.h"
#include "gateway/model_entry.h"
#include "gateway/testing/sim_client.h"
#include "gateway/testing/sim_worker.h"
#include "gateway/testing/tiny_model.h"
#include "net/sim_loop.h"

namespace millrace::gateway::testing {

inline constexpr int64_t kMs = 1'000'000;
inline constexpr int64_t kSecond = 1'000'000'000;

inline std::vector<TokenId> TokensOf(std::string_view text) {
  std::vector<TokenId> tokens;
  for (const char byte : text) tokens.push_back(TinyToken(byte));
  return tokens;
}

inline std::string TextOf(const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId token : tokens) {
    if (token < 256) text += TinyByte(token);
  }
  return text;
}

class SimGateway {
 public:
  explicit SimGateway(const net::SimOptions& sim = {}, GatewayOptions options = DefaultOptions(),
                      SimWorkerOptions worker = DefaultWorker())
      : loop_(net::SimLoop::Make(sim)) {
    options.build_id = "build";
    options.version = "0.0.0";
    options.random_key = 1;
    auto launcher = std::make_unique<SimLauncher>(*loop_, std::move(worker));
    launcher_ = launcher.get();
    auto created = Gateway::Create(*loop_, std::move(options), std::move(launcher));
    EXPECT_TRUE(created.ok()) << created.status().ToString();
    gateway_ = *std::move(created);
    EXPECT_TRUE(gateway_->Start().ok());
  }
  ~SimGateway() { clients_.clear(); }

  static GatewayOptions DefaultOptions() {
    GatewayOptions options;
    options.port = 0;
    options.models.resize(1);
    options.models[0].path = TinyModelPath();
    options.models[0].alias = "tiny";
    options.models[0].slots = 4;
    return options;
  }

  // Answers each prompt with the user's message, reversed.
  static SimWorkerOptions DefaultWorker() {
    static const auto entry = *ModelEntry::Open(DefaultOptions().models[0]);
    SimWorkerOptions worker;
    worker.vocabulary_fingerprint = entry->vocabulary().fingerprint();
    worker.vocabulary_size = static_cast<uint32_t>(entry->vocabulary().size());
    worker.answer = [](const std::vector<TokenId>& prompt) {
      const std::string text = TextOf(prompt);
      const size_t begin = text.rfind("user\n") + 5;
      const std::string message = text.substr(begin, text.find('\n', begin) - begin);
      return TokensOf(std::string(message.rbegin(), message.rend()));
    };
    return worker;
  }

  // Runs until the model is ready.
  void WaitReady() {
    RunUntil([&] { return gateway_->Models()[0].state == ModelState::kReady; });
  }

  bool RunUntil(const std::function<bool()>& condition, int64_t limit_ns = 600 * kSecond) {
    const int64_t end = loop_->NowNs() + limit_ns;
    while (!condition()) {
      if (loop_->NowNs() > end || !loop_->Step()) return false;
    }
    return true;
  }

  SimClient& Connect(SimClientOptions options) {
    clients_.push_back(std::make_unique<SimClient>(*loop_, gateway_->port(), std::move(options)));
    return *clients_.back();
  }
  SimClient& Post(std::string path, std::string body, std::string headers = "") {
    SimClientOptions options;
    options.path = std::move(path);
    options.body = std::move(body);
    options.headers = std::move(headers);
    return Connect(std::move(options));
  }
  Answer Finish(const SimClient& client) {
    EXPECT_TRUE(RunUntil([&] { return client.done(); }));
    return client.Parse();
  }
  Answer Get(std::string path, std::string headers = "") {
    SimClientOptions options;
    options.method = "GET";
    options.path = std::move(path);
    options.headers = std::move(headers);
    return Finish(Connect(std::move(options)));
  }
  Answer Ask(std::string path, std::string body, std::string headers = "") {
    return Finish(Post(std::move(path), std::move(body), std::move(headers)));
  }

  net::SimLoop& loop() { return *loop_; }
  SimLauncher& launcher() { return *launcher_; }
  Gateway& gateway() { return *gateway_; }
  ModelStatus model() const { return gateway_->Models()[0]; }
  void Destroy() { gateway_.reset(); }

 private:
  std::unique_ptr<net::SimLoop> loop_;
  SimLauncher* launcher_ = nullptr;  // the gateway's
  std::unique_ptr<Gateway> gateway_;
  std::vector<std::unique_ptr<SimClient>> clients_;
};

inline std::string ChatBody(const std::string& message, const std::string& more = "") {
  return R"({"model":"tiny","messages":[{"role":"user","content":")" + message + "\"}]" + (more.empty() ? "" : "," + more) + "}";
}

inline Json BodyOf(const Answer& answer) {
  auto json = Json::Parse(answer.body);
  EXPECT_TRUE(json.ok()) << answer.body;
  return json.ok() ? *std::move(json) : Json();
}

inline std::string ErrorField(const Answer& answer, const char* field) {
  const Json body = BodyOf(answer);
  const Json* error = body.Find("error");
  if (error == nullptr || error->Find(field) == nullptr || !error->Find(field)->is_string()) return "";
  return error->Find(field)->as_string();
}

inline constexpr const char* kChat = "/v1/chat/completions";

}  // namespace millrace::gateway::testing
