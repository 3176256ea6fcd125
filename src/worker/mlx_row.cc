#include "worker/mlx_row.h"

#include <utility>

#include "backend/mlx/device.h"
#include "backend/mlx/mlx_backend.h"
#include "base/log.h"
#include "model/decoder.h"

namespace millrace::worker {
namespace {

Result<LoadedRunner> LoadMlx(const model::ModelFile& file, const BackendOptions& options) {
  if (!options.isa.empty()) {
    return Error(Code::kUnsupported, "instruction set '{}': MLX chooses its own; leave it out or use --engine cpu", options.isa);
  }
  backend_mlx::MlxOptions mlx;
  mlx.reference = options.reference;
  mlx.kv_type = options.kv_type;
  mlx.slots = options.slots;
  mlx.context = options.context;
  mlx.blocks = static_cast<uint32_t>(options.kv_tokens / backend_mlx::MlxBackend::kBlockTokens);
  mlx.max_batch_tokens = options.max_batch_tokens;
  ASSIGN_OR_RETURN(auto backend, backend_mlx::MlxBackend::Create(file.config(), mlx));
  const backend_mlx::MlxBackend& loading = *backend;
  LoadedRunner loaded;
  ASSIGN_OR_RETURN(loaded.runner, model::Decoder<backend_mlx::MlxBackend>::Load(file, std::move(backend), options.progress));
  LogInfo("weights: {}", loading.DescribeWeights());
  return loaded;
}

}  // namespace

const BackendRow& MlxRow() {
  static constexpr BackendRow kRow{.name = "mlx", .block_tokens = backend_mlx::MlxBackend::kBlockTokens, .load = LoadMlx};
  return kRow;
}

Result<MlxDevice> ProbeMlx() {
  ASSIGN_OR_RETURN(auto device, backend_mlx::ProbeDevice());
  return MlxDevice{.name = std::move(device.name), .gpu = device.gpu, .version = std::move(device.version)};
}

}  // namespace millrace::worker
