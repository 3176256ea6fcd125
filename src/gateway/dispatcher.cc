#include "gateway/dispatcher.h"

#include <algorithm>

namespace millrace::gateway {

ModelService* Dispatcher::Choose(std::string_view model) const {
  if (model.empty()) return services_.front().get();
  for (const auto& service : services_) {
    if (service->entry()->alias() == model) return service.get();
  }
  return nullptr;
}

bool Dispatcher::AnyReady() const {
  return std::any_of(services_.begin(), services_.end(),
                     [](const auto& service) { return service->Describe().state == ModelState::kReady; });
}

size_t Dispatcher::admitted() const {
  size_t sum = 0;
  for (const auto& service : services_) sum += service->running() + service->waiting();
  return sum;
}

void Dispatcher::Start() {
  for (const auto& service : services_) service->Start();
}

void Dispatcher::FailAll(const api::ApiError& error) {
  for (const auto& service : services_) service->FailAll(error);
}

void Dispatcher::Stop(std::function<void()> done) {
  const auto left = std::make_shared<size_t>(services_.size());  // shared by the callbacks of all services
  for (const auto& service : services_) {
    service->Stop([left, done] {
      if (--*left == 0) done();
    });
  }
}

}  // namespace millrace::gateway
