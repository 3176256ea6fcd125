// What the routes do. Each handler answers its exchange exactly once, now or later.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "gateway/api_keys.h"
#include "gateway/dispatcher.h"
#include "gateway/random.h"
#include "gateway/text_thread.h"
#include "net/exchange.h"
#include "net/loop.h"

namespace millrace::gateway {

// What handlers share. Lives as long as the gateway; everything in it is for the loop's thread.
struct Handlers {
  Handlers(net::Loop& event_loop, Dispatcher& request_dispatcher, ApiKeys api_keys, uint64_t random_key)
      : loop(&event_loop),
        dispatcher(&request_dispatcher),
        keys(std::move(api_keys)),
        random(random_key),
        text_thread(event_loop) {}

  using ExchangePtr = std::shared_ptr<net::Exchange>;

  // chat_handler.cc
  void Chat(const ExchangePtr& exchange);

  // text_handlers.cc
  void Tokenize(const ExchangePtr& exchange);
  void Detokenize(const ExchangePtr& exchange);
  void ApplyTemplate(const ExchangePtr& exchange);

  // status_handlers.cc
  void Health(const ExchangePtr& exchange) const;
  void Live(const ExchangePtr& exchange) const;
  void Ready(const ExchangePtr& exchange) const;
  void Version(const ExchangePtr& exchange) const;
  void ListModels(const ExchangePtr& exchange) const;
  void ShowModel(const ExchangePtr& exchange) const;

  // The model that `name` means, or answers 404 and returns null.
  ModelService* ChooseOrRefuse(const ExchangePtr& exchange, const std::string& name);
  // As TextThread::Run; answers 503 when too many long texts wait.
  void RunText(const ExchangePtr& exchange, size_t text_bytes, std::function<void()> work, std::function<void()> then);

  net::Loop* loop;
  Dispatcher* dispatcher;
  ApiKeys keys;
  Random random;
  TextThread text_thread;
  std::string version;  // of the server
  std::string build_id;
  std::string system_fingerprint;
  std::function<bool()> draining;
};

}  // namespace millrace::gateway
