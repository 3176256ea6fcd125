#include "worker/model_loader.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "base/log.h"
#include "model/active_bytes.h"
#include "model/memory_plan.h"
#include "model/model_file.h"
#include "model/model_files.h"
#include "model/model_text.h"
#include "os/cpu.h"
#include "text/vocabulary.h"

namespace millrace::worker {
namespace {

constexpr size_t kMaxEndOfSequence = 64;  // what ipc::Hello carries

Result<uint32_t> ChooseContext(const model::ModelConfig& config, uint32_t asked) {
  if (asked == 0) return std::min(config.context_length, kDefaultContext);
  if (asked <= config.context_length) return asked;
  return Error(Code::kInvalidArgument, "context: expected at most {} tokens, which the model was trained for, found {}",
               config.context_length, asked);
}

// Positions for the KV pool.
Result<uint64_t> PlanKvTokens(const model::ModelFile& file, const BackendRow& backend, const BackendOptions& options,
                              uint64_t available_bytes) {
  const model::MemoryRequest request{.slots = options.slots,
                                     .context = options.context,
                                     .kv_type = options.reference ? model::KvType::kF32 : options.kv_type,
                                     .chunk_tokens = options.max_batch_tokens,
                                     .block_tokens = backend.block_tokens};
  ASSIGN_OR_RETURN(const model::MemoryPlan plan, model::PlanMemory(file.config(), model::WeightBytesOf(file), request));
  const uint64_t blocks_each = (uint64_t{options.context} + backend.block_tokens - 1) / backend.block_tokens;
  const uint64_t available = available_bytes != 0 ? available_bytes : AvailableMemory().available_bytes;
  const Status fits = plan.CheckFits(available);
  if (fits.ok()) return blocks_each * backend.block_tokens * options.slots;
  const uint64_t blocks = plan.KvTokensThatFit(available) / backend.block_tokens;
  if (blocks < blocks_each) return fits;
  LogWarning("the KV pool holds {} tokens, not {} slots x {}: {}", blocks * backend.block_tokens, options.slots, options.context,
             fits.message());
  return blocks * backend.block_tokens;
}

// Fingerprint and end of sequence, as the gateway knows them.
Status TakeVocabulary(const model::ModelFile& file, const LoadOptions& options, LoadedModel& loaded) {
  auto spec = model::TokenizerSpecOf(file.source(), file.config().vocab);
  if (!spec.ok() && spec.status().code() == Code::kNotFound && !options.needs_vocabulary) return {};
  if (!spec.ok()) return spec.status();
  ASSIGN_OR_RETURN(const auto vocabulary, text::Vocabulary::Build(*spec));
  if (vocabulary->end_of_sequence().size() > kMaxEndOfSequence) {
    return Error(Code::kUnsupported, "the file names {} end-of-sequence tokens, expected at most {}",
                 vocabulary->end_of_sequence().size(), kMaxEndOfSequence);
  }
  loaded.vocabulary_fingerprint = vocabulary->fingerprint();
  loaded.end_of_sequence = vocabulary->end_of_sequence();
  return {};
}

// Progress of one half of the work, 0 or 1.
std::function<void(size_t, size_t)> HalfOf(const std::function<void(size_t, size_t)>& progress, size_t half) {
  constexpr size_t kHalf = 1000;
  if (!progress) return nullptr;
  return [progress, half](size_t done, size_t total) {
    progress(half * kHalf + done * kHalf / std::max<size_t>(total, 1), 2 * kHalf);
  };
}

Status Quantise(model::ModelFile& file, const LoadOptions& options) {
  const uint32_t threads = options.threads != 0 ? options.threads : static_cast<uint32_t>(GetCpu().usable_physical);
  const auto for_rows = [threads](uint64_t rows, const model::ModelFile::FillRows& fill) {
    const uint64_t part = (rows + threads - 1) / threads;
    std::vector<std::thread> others;
    for (uint64_t begin = part; begin < rows; begin += part) {
      others.emplace_back([&fill, begin, end = std::min(rows, begin + part)] { fill(begin, end); });
    }
    fill(0, std::min(rows, part));
    for (std::thread& other : others) other.join();
  };
  return file.Quantise(options.quantise, for_rows, HalfOf(options.progress, 0));
}

}  // namespace

Result<LoadedModel> LoadModel(std::span<const model::NamedFile> files, const LoadOptions& options) {
  ASSIGN_OR_RETURN(model::ModelFile file, model::ModelFile::Parse(files));
  LoadedModel loaded;
  RETURN_IF_ERROR(TakeVocabulary(file, options, loaded));
  if (options.quantise != 0) RETURN_IF_ERROR(Quantise(file, options));
  loaded.bytes_per_token = model::ActiveBytes(file.config(), model::WeightBytesOf(file), 0, 1,
                                              options.reference ? model::KvType::kF32 : options.kv_type)
                               .total();

  const uint32_t prefill_chunk = options.prefill_chunk != 0 ? options.prefill_chunk : kDefaultPrefillChunk;
  BackendOptions backend_options;
  backend_options.threads = options.threads;
  backend_options.isa = options.isa;
  backend_options.reference = options.reference;
  backend_options.kv_type = options.kv_type;
  backend_options.slots = options.slots != 0 ? options.slots : kDefaultSlots;
  ASSIGN_OR_RETURN(backend_options.context, ChooseContext(file.config(), options.context));
  backend_options.max_batch_tokens = backend_options.slots + std::min(prefill_chunk, backend_options.context);
  backend_options.progress = options.quantise != 0 ? HalfOf(options.progress, 1) : options.progress;
  ASSIGN_OR_RETURN(backend_options.kv_tokens, PlanKvTokens(file, *options.backend, backend_options, options.available_bytes));

  ASSIGN_OR_RETURN(LoadedRunner runner, options.backend->load(file, backend_options));
  loaded.pool = runner.pool;
  loaded.kernels = runner.kernels;
  engine::EngineOptions engine_options;
  engine_options.end_of_sequence = loaded.end_of_sequence;
  engine_options.prefill_chunk = prefill_chunk;
  engine_options.first_prefill_bytes_per_ns = runner.first_prefill_bytes_per_ns;
  engine_options.on_step = options.on_step;
  ASSIGN_OR_RETURN(loaded.engine, engine::Engine::Create(std::move(runner.runner), std::move(engine_options)));
  return loaded;
}

Result<LoadedModel> LoadModelFromFiles(std::span<const std::string> names, std::span<const int> fds, const LoadOptions& options) {
  ASSIGN_OR_RETURN(const auto mapped, model::MappedModelFiles::Map(names, fds));
  mapped.WillNeed();
  return LoadModel(mapped.files(), options);
}

Result<LoadedModel> LoadModelFromFile(int fd, const LoadOptions& options) {
  const std::string name = "model.gguf";
  return LoadModelFromFiles({&name, 1}, {&fd, 1}, options);
}

}  // namespace millrace::worker
