// Runs token lists through a backend by hand: what an engine would do, spelled out, so that tests decide about chunks and batches.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu/options.h"
#include "base/status.h"
#include "model/model_runner.h"

namespace millrace {

class ModelDriver {
 public:
  static Result<std::unique_ptr<ModelDriver>> Open(const std::string& path, const backend_cpu::CpuOptions& options);
  // The same over any runner.
  explicit ModelDriver(std::unique_ptr<model::ModelRunner> runner);

  const model::ModelConfig& config() const { return runner_->config(); }

  // Tokens that a slot gets in one step. Positions go on from where the slot stands.
  struct Part {
    uint32_t slot = 0;
    std::vector<TokenId> tokens;
  };
  // One step. Logits of every token in order, each [vocab].
  Result<std::vector<std::vector<float>>> Step(const std::vector<Part>& parts);

  // The slot's next token is position 0 again.
  void Restart(uint32_t slot) { position_[slot] = 0; }

 private:
  std::unique_ptr<model::ModelRunner> runner_;
  std::vector<uint32_t> position_;  // next position per slot
  bool announced_ = false;
  uint64_t step_ = 0;
};

}  // namespace millrace
