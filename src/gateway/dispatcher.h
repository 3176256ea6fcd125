// Dispatcher: which model, and so which worker, a request is for; gives every request its id. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "gateway/model_service.h"

namespace millrace::gateway {

class Dispatcher {
 public:
  explicit Dispatcher(std::vector<std::unique_ptr<ModelService>> services) : services_(std::move(services)) {}

  // The model of that name, null when there is none. An empty name is the first model's: for routes where it may be left out.
  ModelService* Choose(std::string_view model) const;

  RequestId NextRequest() { return ++last_request_; }
  const std::vector<std::unique_ptr<ModelService>>& services() const { return services_; }

  bool AnyReady() const;
  size_t admitted() const;  // requests that have not ended
  void Start();
  void FailAll(const api::ApiError& error);
  void Stop(std::function<void()> done);  // every worker; `done` when the last one is gone

 private:
  std::vector<std::unique_ptr<ModelService>> services_;
  RequestId last_request_ = 0;
};

}  // namespace millrace::gateway
