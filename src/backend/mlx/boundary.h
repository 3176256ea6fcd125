// The one place where exceptions of MLX end: whatever a call into MLX throws becomes a Status.
#pragma once

#include <exception>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/status.h"

namespace millrace::backend_mlx {

inline Status StatusOf(const std::exception& error) {
  const std::string_view what = error.what();
  const bool memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr || what.find("[malloc") == 0;
  return Error(memory ? Code::kResourceExhausted : Code::kInternal, "MLX: {}", what);
}

// Calls `work`, which returns void, a Status or a Result, and gives back its Status or Result.
template <typename Work>
auto Guard(Work&& work) noexcept {
  using Returned = std::invoke_result_t<Work>;
  using Answer = std::conditional_t<std::is_void_v<Returned>, Status, Returned>;
  try {
    if constexpr (std::is_void_v<Returned>) {
      std::forward<Work>(work)();
      return Answer();
    } else {
      return Answer(std::forward<Work>(work)());
    }
  } catch (const std::exception& error) {
    return Answer(StatusOf(error));
  } catch (...) {
    return Answer(Status(Code::kInternal, "MLX threw something that is no exception"));
  }
}

}  // namespace millrace::backend_mlx
