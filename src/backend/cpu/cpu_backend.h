// CpuBackend: the Backend concept on the CPU. An op is one parallel section of the thread pool, and further ones only where something
// needs a whole row: norms of the full width, norms behind a product, and the steps of experts.
//
// The promise (RunnerInfo::deterministic): a sequence's logits have the same bits alone or in any batch, in any division of its prompt
// into steps, with any number of threads, on any instruction set. The kernels give every row the same bits in any company; what is
// left here is that keys and values are stored before anything reads them, and that softmax tiles stand at fixed positions.
//
// All memory of a step is laid out by Create; steps allocate nothing. One thread uses a backend; the pool's threads are its own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/cpu/attention.h"
#include "backend/cpu/kv_store.h"
#include "backend/cpu/options.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/strips.h"
#include "backend/cpu/vector_store.h"
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
inline constexpr uint32_t kMaxExperts = 4096;

class CpuBackend {
 public:
  struct Weight {
    uint32_t index = 0;  // into the weight store, or into the vector store
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
  size_t scratch_bytes() const { return scratch_.size(); }

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
    model::NormKind kind = model::NormKind::kRms;
    const float* weight = nullptr;
    const float* bias = nullptr;  // or none
    float epsilon = 0;
  };
  // The same rows made ready: floats, or 8-bit codes, or both.
  struct ReadyRows {
    float* floats = nullptr;  // [rows, cols]
    kernels::QuantRows quant;
    uint32_t rows = 0;

    ReadyRows Part(size_t first, size_t count) const {
      return {floats + first * quant.cols, quant.After(first), static_cast<uint32_t>(count)};
    }
  };
  // out (+)= W rows. A piece of it is finished by a function of the op.
  struct Product {
    RowSource source;
    const NormWeights* norm = nullptr;
    const StackedWeight& weight;
    kernels::OutputRows out;
    size_t unit_strips = kUnitStrips;  // pieces begin at multiples of it
  };
  struct RopeTable {
    bool adjacent = false;
    uint32_t pairs = 0;
    float* cos = nullptr;  // [context, pairs]; times the magnitude
    float* sin = nullptr;
  };
  // What is done to rows of q, k and v after their product; nullptr for what is not.
  struct QkvFinish {
    uint32_t layer = 0;
    const float* bias = nullptr;        // of all rows
    const float* query_norm = nullptr;  // [head_dim], or [heads * head_dim] for FinishToken
    const float* key_norm = nullptr;
    float epsilon = 0;
    const RopeTable* rope = nullptr;
  };
  // Of the experts of one layer. A pair is a token with one of its experts; pairs stand in order of experts, then of tokens.
  struct ExpertMemory {
    float* logits = nullptr;     // [tokens, experts], then the softmax of them
    uint32_t* chosen = nullptr;  // [tokens, used], ascending
    float* shares = nullptr;     // [tokens, used]: what the sums of the chosen are multiplied with
    uint32_t* pairs = nullptr;   // [tokens, used]: the pair's place in the order
    uint32_t* tokens = nullptr;  // [pairs]
    uint32_t* begin = nullptr;   // [experts + 1]: an expert's first pair
    uint32_t* active = nullptr;  // experts that have pairs
    uint32_t active_count = 0;
    float* sums = nullptr;  // [pairs, hidden]
  };
  struct RowMemory {
    float* floats = nullptr;
    int8_t* codes = nullptr;
    float* scales = nullptr;
    float* sums = nullptr;
    int16_t* minus_sums = nullptr;
  };

  CpuBackend(const model::ModelConfig& config, const CpuOptions& options, uint32_t threads);

  static Status CheckOptions(const CpuOptions& options);
  static Status CheckLayer(const model::ModelConfig& config, const model::LayerConfig& layer);
  static Status CheckConfig(const model::ModelConfig& config);
  Status Reserve();
  void Measure();
  void LayOut(Scratch& scratch);
  void LayOutExperts(Scratch& scratch);
  static RowMemory TakeRows(Scratch& scratch, size_t elements);
  void FillRopeTable(const model::RopeConfig& config, const RopeTable& table);
  void FillInfo();

  uint64_t KvBytesRead() const;
  Status CheckBatch(const model::StepBatch& batch) const;
  Status CheckSpans(const model::StepBatch& batch) const;
  Status CheckSlots(const model::StepBatch& batch) const;

  // What an op reads, its bytes counted.
  const StackedWeight& Use(Weight weight);
  const float* UseVector(Weight weight);
  NormWeights Use(const model::NormOp<Weight>& norm);
  std::optional<NormWeights> Use(const std::optional<model::NormOp<Weight>>& norm);

  RowSource AllRows(const Act& act) const;
  void Normalise(const NormWeights& norm, const float* from, uint32_t count, float* to) const;
  ReadyRows Prepare(uint32_t thread, const RowSource& source, const NormWeights* norm, const StackedWeight& consumer) const;
  void PrepareShared(const RowSource& source, const NormWeights* norm, const StackedWeight& consumer);
  ReadyRows RowsIn(const RowMemory& memory, const RowSource& source, const NormWeights* norm) const;
  template <typename Fn>
  void RunProduct(const char* name, const Product& product, Fn&& finish);
  void PrepareRow(const RowSource& source, uint32_t row, const NormWeights* norm, bool quantise, const ReadyRows& out) const;
  void Multiply(const kernels::PackedMatrix& matrix, kernels::IndexRange strips, const ReadyRows& rows,
                const kernels::OutputRows& out) const;

  QkvFinish FinishOf(const model::AttnInOp<Weight>& op);
  void FinishToken(QkvFinish finish, uint32_t token);
  void FinishRows(const QkvFinish& finish, uint32_t begin, uint32_t end);
  void FinishPiece(const QkvFinish& finish, uint32_t token, uint32_t begin, uint32_t end);
  void StoreKey(uint32_t layer, uint32_t token, uint32_t kv_head, kernels::IndexRange dims, const float* key);
  void StoreValue(uint32_t layer, uint32_t token, uint32_t kv_head, kernels::IndexRange dims, const float* value);

  void AddNormalised(const NormWeights& norm, float scale, Act residual);
  void Activate(model::Activation activation, const float* up, size_t count, float* rows) const;

  void ChooseExperts(const model::ExpertsConfig& config, size_t token);
  void GroupByExpert(const model::ExpertsConfig& config);
  void CountExperts(const StackedWeight& gate_up, const StackedWeight& down);
  void RunExpertsIn(const model::ExpertsOp<Weight>& op, const RowSource& source, const NormWeights* norm);
  void RunExpertsDown(const model::ExpertsOp<Weight>& op);
  void SumExperts(const model::ExpertsConfig& config, size_t token, kernels::IndexRange columns) const;

  model::ModelConfig config_;
  CpuOptions options_;
  const kernels::KernelTable& kernels_;
  kernels::ThreadPool pool_;
  WeightStore weights_;
  VectorStore vectors_;
  KvStore kv_;
  Attention attention_;
  model::RunnerInfo info_;

  // Largest over all layers.
  uint32_t max_qkv_ = 0;
  uint32_t max_attn_ = 0;  // heads * head_dim
  uint32_t max_ffn_ = 0;
  uint32_t max_width_ = 0;          // of anything that is multiplied
  uint32_t max_experts_ = 0;        // of a layer
  uint32_t max_experts_used_ = 0;   // of a token
  uint64_t max_expert_inputs_ = 0;  // elements: of a token's rows into its experts, over all that it uses

  Scratch scratch_;
  float* x_ = nullptr;            // [tokens, hidden]
  float* qkv_ = nullptr;          // [tokens, max_qkv_], at least hidden wide: also sums before they are normalised and added
  float* attn_ = nullptr;         // [tokens, max_attn_]
  float* gate_ = nullptr;         // [tokens, max_ffn_], or [pairs, ffn] of experts
  float* up_ = nullptr;           // the same
  float* logits_ = nullptr;       // [outputs, vocab]
  std::vector<RopeTable> ropes_;  // as in the configuration
  ExpertMemory experts_;
  uint32_t* positions_ = nullptr;      // [tokens]
  uint32_t* slots_ = nullptr;          // [tokens]
  uint32_t* output_tokens_ = nullptr;  // [outputs]
  RowMemory shared_rows_;              // [tokens, max_width_], or a row for each pair
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
