// CpuBackend: the Backend concept on the CPU. Every op is one parallel section of the thread pool.
//
// The promise (RunnerInfo::deterministic): a sequence's logits have the same bits alone or in any batch, in any division of its prompt
// into steps, with any number of threads, on any instruction set. The kernels give every row the same bits in any company; what is
// left here is that keys and values are stored before anything reads them, and that softmax tiles stand at fixed positions.
//
// All memory of a step is laid out by Create; steps allocate nothing. One thread uses a backend; the pool's threads are its own.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/cpu/attention.h"
#include "backend/cpu/kv_store.h"
#include "backend/cpu/options.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/weight_store.h"
#include "base/status.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"
#include "model/backend.h"
#include "model/config.h"
#include "model/model_runner.h"

namespace millrace::backend_cpu {

// Up to this many rows every thread normalises and quantises all of them for itself.
inline constexpr uint32_t kRedundantRows = 4;
inline constexpr uint32_t kMaxHeadDim = 1024;

class CpuBackend {
 public:
  struct Weight {
    uint32_t index = 0;  // into the weight store
  };
  // Float rows of the step's tokens; 8-bit copies are made inside the op that needs them.
  struct Act {
    float* data = nullptr;
    uint32_t width = 0;
    size_t stride = 0;  // floats from row to row
  };

  // Reserves KV pool and scratch memory. kInvalidArgument for options out of range, kUnsupported for head sizes without a kernel,
  // kResourceExhausted when memory is not to be had.
  static Result<std::unique_ptr<CpuBackend>> Create(const model::ModelConfig& config, const CpuOptions& options);

  Result<Weight> Load(std::span<const weights::TensorView> views);
  Result<Weight> LoadVector(std::span<const weights::TensorView> views);

  Status Begin(const model::StepBatch& batch);
  Act Embed(Weight table, float scale);
  Act AttnIn(Act x, const model::AttnInOp<Weight>& op);
  Act Attend(Act q, const model::AttendOp& op);
  Act OutAdd(Act input, const model::OutAddOp<Weight>& op, Act residual);  // in place: returns `residual`
  Act MlpIn(Act x, const model::MlpInOp<Weight>& op);
  Act Experts(Act x, const model::ExpertsOp<Weight>& op);
  void Head(Act x, const model::HeadOp<Weight>& op);
  Result<model::StepResult> End();

  const model::RunnerInfo& info() const { return info_; }

  // For measuring: the same threads and instruction set that the model runs on. Not during a step.
  kernels::ThreadPool& pool() { return pool_; }
  const kernels::KernelTable& kernels() const { return kernels_; }

 private:
  // Rows that go into a matrix product: [rows, cols], taken from `data` by way of `index` where there is one.
  struct RowSource {
    const float* data = nullptr;
    size_t stride = 0;
    const uint32_t* index = nullptr;
    uint32_t rows = 0;
    uint32_t cols = 0;
  };
  struct NormWeights {
    const float* weight = nullptr;
    float epsilon = 0;
  };
  // The same rows made ready: floats, or 8-bit codes, or both.
  struct ReadyRows {
    float* floats = nullptr;  // [rows, cols]
    kernels::QuantRows quant;
    uint32_t rows = 0;
  };
  // out (+)= W rows. A piece of it is finished by a function of the op.
  struct Product {
    RowSource source;
    const NormWeights* norm = nullptr;
    const StackedWeight& weight;
    kernels::OutputRows out;
  };
  struct RowMemory {
    float* floats = nullptr;
    int8_t* codes = nullptr;
    float* scales = nullptr;
    float* sums = nullptr;
    int16_t* minus_sums = nullptr;
  };

  CpuBackend(const model::ModelConfig& config, const CpuOptions& options, uint32_t threads);

  static Status CheckConfig(const model::ModelConfig& config, const CpuOptions& options);
  Status Reserve();
  void LayOut(Scratch& scratch);
  RowMemory TakeRows(Scratch& scratch, size_t rows) const;
  void FillRopeTable();
  void FillInfo();

  Status CheckBatch(const model::StepBatch& batch) const;
  Status CheckSpans(const model::StepBatch& batch) const;
  Status CheckSlots(const model::StepBatch& batch) const;

  const StackedWeight& Use(Weight weight);
  RowSource AllRows(const Act& act) const;
  NormWeights Use(const model::NormOp<Weight>& norm);
  ReadyRows Prepare(uint32_t thread, const RowSource& source, const NormWeights* norm, const StackedWeight& consumer) const;
  void PrepareShared(const RowSource& source, const NormWeights* norm, const StackedWeight& consumer);
  ReadyRows RowsIn(const RowMemory& memory, const RowSource& source, const NormWeights* norm) const;
  template <typename Fn>
  void RunProduct(const char* name, const Product& product, Fn&& finish);
  void PrepareRow(const RowSource& source, uint32_t row, const NormWeights* norm, bool quantise, const ReadyRows& out) const;
  void Multiply(const kernels::PackedMatrix& matrix, kernels::IndexRange strips, const ReadyRows& rows,
                const kernels::OutputRows& out) const;

  void FinishRows(uint32_t layer, uint32_t begin, uint32_t end);
  void FinishPiece(uint32_t layer, uint32_t token, uint32_t begin, uint32_t end);
  void StoreKey(uint32_t layer, uint32_t token, uint32_t kv_head, kernels::IndexRange dims, const float* key);
  void StoreValue(uint32_t layer, uint32_t token, uint32_t kv_head, kernels::IndexRange dims, const float* value);

  model::ModelConfig config_;
  CpuOptions options_;
  const kernels::KernelTable& kernels_;
  kernels::ThreadPool pool_;
  WeightStore weights_;
  KvStore kv_;
  Attention attention_;
  model::RunnerInfo info_;

  // Largest over all layers.
  uint32_t max_qkv_ = 0;
  uint32_t max_attn_ = 0;  // heads * head_dim
  uint32_t max_ffn_ = 0;
  uint32_t max_width_ = 0;  // of anything that is multiplied

  Scratch scratch_;
  float* x_ = nullptr;         // [tokens, hidden]
  float* qkv_ = nullptr;       // [tokens, max_qkv_]
  float* attn_ = nullptr;      // [tokens, max_attn_]
  float* gate_ = nullptr;      // [tokens, max_ffn_]
  float* up_ = nullptr;        // [tokens, max_ffn_]
  float* logits_ = nullptr;    // [outputs, vocab]
  float* rope_cos_ = nullptr;  // [context, rope.dims / 2]
  float* rope_sin_ = nullptr;
  uint32_t* positions_ = nullptr;      // [tokens]
  uint32_t* slots_ = nullptr;          // [tokens]
  uint32_t* output_tokens_ = nullptr;  // [outputs]
  RowMemory shared_rows_;              // [tokens, max_width_]
  std::vector<RowMemory> own_rows_;    // per thread: [kRedundantRows, max_width_]

  // The step between Begin and End.
  model::StepBatch batch_;
  std::vector<model::OutputResult> results_;
  uint64_t weight_bytes_ = 0;
  int64_t begin_ns_ = 0;
  int64_t begin_section_ns_ = 0;
};

static_assert(model::Backend<CpuBackend>);

}  // namespace millrace::backend_cpu
