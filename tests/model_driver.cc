#include "model_driver.h"

#include <utility>

#include "backend/cpu/cpu_backend.h"
#include "model/decoder.h"
#include "model/model_file.h"
#include "model/model_files.h"

namespace millrace {

ModelDriver::ModelDriver(std::unique_ptr<model::ModelRunner> runner)
    : runner_(std::move(runner)), position_(runner_->info().slots, 0) {}

Result<std::unique_ptr<ModelDriver>> ModelDriver::Open(const std::string& path, const backend_cpu::CpuOptions& options) {
  ASSIGN_OR_RETURN(const auto opened, model::OpenedModelFiles::Open(path));
  ASSIGN_OR_RETURN(const auto mapped, opened.Map());
  ASSIGN_OR_RETURN(const auto model, model::ModelFile::Parse(mapped.files()));
  ASSIGN_OR_RETURN(auto backend, backend_cpu::CpuBackend::Create(model.config(), options));
  ASSIGN_OR_RETURN(auto runner, model::Decoder<backend_cpu::CpuBackend>::Load(model, std::move(backend), nullptr));
  return std::make_unique<ModelDriver>(std::move(runner));
}

Result<std::vector<std::vector<float>>> ModelDriver::Step(const std::vector<Part>& parts) {
  const uint32_t blocks_per_slot = runner_->info().blocks / runner_->info().slots;
  std::vector<TokenId> tokens;
  std::vector<model::SpanOfTokens> spans;
  std::vector<model::OutputRow> outputs;
  for (const Part& part : parts) {
    spans.push_back({.slot = part.slot,
                     .first_position = position_[part.slot],
                     .token_begin = static_cast<uint32_t>(tokens.size()),
                     .token_count = static_cast<uint32_t>(part.tokens.size())});
    position_[part.slot] += static_cast<uint32_t>(part.tokens.size());
    for (const TokenId token : part.tokens) {
      outputs.push_back({.token_index = static_cast<uint32_t>(tokens.size())});
      tokens.push_back(token);
    }
  }
  // Each slot owns its share of the pool, last block first, so that neighbours in a sequence are no neighbours in memory.
  std::vector<model::BlockChange> changes;
  if (!announced_) {
    for (uint32_t slot = 0; slot < runner_->info().slots; ++slot) {
      for (uint32_t i = 0; i < blocks_per_slot; ++i) changes.push_back({slot, i, (slot + 1) * blocks_per_slot - 1 - i});
    }
  }
  announced_ = true;
  model::StepBatch batch;
  batch.step_id = ++step_;
  batch.tokens = tokens;
  batch.spans = spans;
  batch.outputs = outputs;
  batch.block_changes = changes;
  ASSIGN_OR_RETURN(const auto ticket, runner_->Launch(batch));
  ASSIGN_OR_RETURN(const auto result, runner_->Collect(ticket));
  std::vector<std::vector<float>> rows;
  for (const auto& output : result.outputs) rows.emplace_back(output.logits.begin(), output.logits.end());
  return rows;
}

}  // namespace millrace
