#include "backend/mlx/device.h"

#include <mlx/device.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>
#include <mlx/version.h>

#include <string_view>
#include <variant>

#include "backend/mlx/boundary.h"

namespace millrace::backend_mlx {
namespace {

namespace mx = mlx::core;

std::string NameOf(const mx::Device& device) {
  const auto& info = mx::device_info(device);
  const auto at = info.find("device_name");
  const auto* name = at == info.end() ? nullptr : std::get_if<std::string>(&at->second);
  return name == nullptr ? std::string("unnamed device") : *name;
}

Result<Device> Compute() {
  const mx::Device& device = mx::default_device();
  mx::array sum = mx::sum(mx::matmul(mx::ones({8, 8}), mx::ones({8, 8})));
  const float found = sum.item<float>();
  if (found != 512.0F) return Error(Code::kUnavailable, "MLX computes {} where 512 is right", found);
  return Device{.gpu = device.type == mx::Device::gpu, .name = NameOf(device), .version = mx::version()};
}

}  // namespace

Status CheckVersion() {
  const std::string built = fmt::format("{}.{}.{}", MLX_VERSION_MAJOR, MLX_VERSION_MINOR, MLX_VERSION_PATCH);
  const std::string_view found = mx::version();
  if (found == built) return {};
  return Error(
      Code::kUnsupported,
      "this program was built with MLX {} and finds MLX {}; rebuild it (cmake --workflow --preset mlx) or use --engine cpu",
      built, found);
}

Result<Device> ProbeDevice() {
  RETURN_IF_ERROR(Guard(CheckVersion));
  return Guard(Compute);
}

}  // namespace millrace::backend_mlx
