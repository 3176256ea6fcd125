#include "worker/backends.h"

#include <algorithm>
#include <utility>

#include "backend/cpu/cpu_backend.h"
#include "model/decoder.h"

namespace millrace::worker {
namespace {

Result<kernels::Isa> ChooseIsa(const std::string& name) {
  if (name.empty()) return kernels::BestIsa();
  const auto available = kernels::AvailableIsas();
  const auto isa = kernels::IsaFromName(name);
  if (isa && std::find(available.begin(), available.end(), *isa) != available.end()) return *isa;
  std::string names;
  for (const kernels::Isa one : available) names += (names.empty() ? "" : ", ") + std::string(kernels::IsaName(one));
  return Error(Code::kUnsupported, "instruction set '{}': this program on this machine has {}", name, names);
}

Result<LoadedRunner> LoadCpu(const model::ModelFile& file, const BackendOptions& options) {
  backend_cpu::CpuOptions cpu;
  ASSIGN_OR_RETURN(cpu.isa, ChooseIsa(options.isa));
  cpu.threads = options.threads;
  cpu.reference = options.reference;
  cpu.kv_type = options.kv_type;
  cpu.slots = options.slots;
  cpu.context = options.context;
  cpu.blocks = static_cast<uint32_t>(options.kv_tokens / kernels::kBlockPositions);
  cpu.max_batch_tokens = options.max_batch_tokens;
  cpu.max_outputs = options.slots;  // one row for each sequence
  ASSIGN_OR_RETURN(auto backend, backend_cpu::CpuBackend::Create(file.config(), cpu));
  LoadedRunner loaded;
  loaded.pool = &backend->pool();
  loaded.kernels = &backend->kernels();
  ASSIGN_OR_RETURN(loaded.runner, model::Decoder<backend_cpu::CpuBackend>::Load(file, std::move(backend), options.progress));
  return loaded;
}

}  // namespace

const BackendRow& CpuRow() {
  static constexpr BackendRow kRow{.name = "cpu", .block_tokens = kernels::kBlockPositions, .load = LoadCpu};
  return kRow;
}

}  // namespace millrace::worker
