#include "ipc/messages.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include "base/log.h"
#include "base/utf8.h"
#include "ipc/wire.h"

namespace millrace::ipc {

namespace {

constexpr int64_t kMaxI64 = std::numeric_limits<int64_t>::max();
constexpr int32_t kMaxI32 = std::numeric_limits<int32_t>::max();
constexpr uint32_t kMaxU32 = std::numeric_limits<uint32_t>::max();
constexpr uint64_t kMaxU64 = std::numeric_limits<uint64_t>::max();
constexpr double kMaxRate = 1e12;  // GB/s, rows per step: far above anything, far below infinity

constexpr uint32_t kMaxChoices = 128;
constexpr uint32_t kMaxVocabulary = 1U << 24;
constexpr uint32_t kMaxContext = 1U << 26;
constexpr uint32_t kMaxSlots = 4096;
constexpr uint32_t kMaxThreads = 4096;
constexpr uint8_t kMaxKvType = 15;
constexpr size_t kMaxEndTokens = 64;
constexpr size_t kNameBytes = 16;
constexpr size_t kBuildIdBytes = 64;

// Rounding may put a logprob a hair above zero; -inf stands for a token that cannot be chosen.
constexpr float kLeastLogprob = -std::numeric_limits<float>::infinity();
constexpr float kMostLogprob = 0.01F;

constexpr auto kToken = [](auto& archive, auto& token) { archive.Number(token, 0, kMaxI32, "token"); };

// Two 32-bit fields, then tokens to the end of the largest record.
constexpr size_t kPartFixedBytes = sizeof(RequestId) + 2 * sizeof(uint32_t);
constexpr size_t kPartTokens = (kMaxPayloadBytes - kPartFixedBytes) / sizeof(TokenId);
constexpr size_t kEndBytes = sizeof(RequestId) + 2 * sizeof(uint32_t);

// Which list a SubmitPart continues.
enum class PartList : uint32_t { kPrompt = 0, kForced = 1 };

// ---- Field lists: docs/ring-format.md, "Messages", has the same order. ----

template <typename A>
void Fields(A& archive, typename A::template Ref<HopClocks> m) {
  archive.Number(m.received, 0, kMaxI64, "clocks.received");
  archive.Number(m.parsed, 0, kMaxI64, "clocks.parsed");
  archive.Number(m.rendered, 0, kMaxI64, "clocks.rendered");
  archive.Number(m.tokenised, 0, kMaxI64, "clocks.tokenised");
  archive.Number(m.submitted, 0, kMaxI64, "clocks.submitted");
  archive.Number(m.drained, 0, kMaxI64, "clocks.drained");
  archive.Number(m.scheduled, 0, kMaxI64, "clocks.scheduled");
  archive.Number(m.first_token, 0, kMaxI64, "clocks.first_token");
  archive.Number(m.last_token, 0, kMaxI64, "clocks.last_token");
}

template <typename A>
void Fields(A& archive, typename A::template Ref<SamplingParams> m) {
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  constexpr float kHuge = std::numeric_limits<float>::max();
  archive.Number(m.temperature, 0.0F, 100.0F, "temperature");
  archive.Number(m.top_k, 0, kMaxI32, "top_k");
  archive.Number(m.top_p, kTiny, 1.0F, "top_p");
  archive.Number(m.min_p, 0.0F, 1.0F, "min_p");
  archive.Number(m.repetition_penalty, kTiny, 10.0F, "repetition_penalty");
  archive.Number(m.presence_penalty, -2.0F, 2.0F, "presence_penalty");
  archive.Number(m.frequency_penalty, -2.0F, 2.0F, "frequency_penalty");
  archive.Number(m.seed, 0, kMaxU64, "seed");
  archive.Number(m.top_logprobs, -1, kMaxTopLogprobs, "top_logprobs");
  archive.Number(m.max_tokens, 0, kMaxU32, "max_tokens");
  archive.Number(m.min_tokens, 0, kMaxU32, "min_tokens");
  archive.Truth(m.ignore_eos, "ignore_eos");
  archive.List(m.logit_bias, kMaxLogitBias, 8, "logit_bias", [](auto& ar, auto& item) {
    ar.Number(item.first, 0, kMaxI32, "logit_bias.token");
    ar.Number(item.second, -kHuge, kHuge, "logit_bias.value");
  });
  archive.List(m.stop_tokens, kMaxStopTokens, 4, "stop_tokens", kToken);
}

// Everything of a Submit but its two token lists, of which only the lengths travel here.
struct TokenCounts {
  uint32_t prompt = 0;
  uint32_t forced = 0;
};

template <typename A>
void Fields(A& archive, typename A::template Ref<Submit> m, typename A::template Ref<TokenCounts> counts) {
  archive.Number(m.request, 1, kMaxU64, "request");
  archive.Number(m.tenant, 0, kMaxU64, "tenant");
  archive.Number(m.priority, -100, 100, "priority");
  archive.Number(m.deadline_ns, 0, kMaxI64, "deadline_ns");
  archive.Number(m.supersede_group, 0, kMaxU64, "supersede_group");
  archive.Number(m.cache_salt, 0, kMaxU64, "cache_salt");
  archive.Number(m.adapter, -1, kMaxI32, "adapter");
  archive.Number(m.emitted_tokens, 0, kMaxPromptTokens, "emitted_tokens");
  archive.Number(m.choices, 1, kMaxChoices, "choices");
  uint8_t output = static_cast<uint8_t>(m.output);
  archive.Number(output, 0, static_cast<uint8_t>(SubmitOutput::kHidden), "output");
  if constexpr (A::kReads) m.output = static_cast<SubmitOutput>(output);
  Fields(archive, m.sampling);
  Fields(archive, m.clocks);
  archive.Number(counts.prompt, 1, kMaxPromptTokens, "prompt_tokens");
  archive.Number(counts.forced, 0, kMaxPromptTokens, "forced_tokens");
  archive.Require(m.emitted_tokens <= counts.forced, "emitted_tokens");
}

template <typename A>
void Fields(A& archive, typename A::template Ref<Cancel> m) {
  archive.Number(m.request, 1, kMaxU64, "request");
}

template <typename A>
void Fields(A& archive, typename A::template Ref<Shutdown> m) {
  archive.Number(m.drain_ns, 0, kMaxI64, "drain_ns");
}

template <typename A>
void Fields(A& archive, typename A::template Ref<Hello> m) {
  // First, and alone in its place for ever: what follows may differ in other versions.
  archive.Number(m.protocol, kProtocolVersion, kProtocolVersion, "protocol");
  archive.Text(m.build_id, kBuildIdBytes, TextKind::kPrintableAscii, "build_id");
  archive.Number(m.vocabulary_fingerprint, 0, kMaxU64, "vocabulary_fingerprint");
  archive.Number(m.vocabulary_size, 1, kMaxVocabulary, "vocabulary_size");
  archive.List(m.end_of_sequence, kMaxEndTokens, 4, "end_of_sequence", kToken);
  archive.Text(m.engine, kNameBytes, TextKind::kPrintableAscii, "engine");
  archive.Text(m.isa, kNameBytes, TextKind::kPrintableAscii, "isa");
  archive.Number(m.threads, 0, kMaxThreads, "threads");
  archive.Number(m.slots, 1, kMaxSlots, "slots");
  archive.Number(m.context, 1, kMaxContext, "context");
  archive.Number(m.block_tokens, 0, kMaxContext, "block_tokens");
  archive.Number(m.blocks, 0, kMaxU32, "blocks");
  archive.Truth(m.deterministic, "deterministic");
  archive.Number(m.weight_bytes, 0, kMaxU64, "weight_bytes");
  archive.Number(m.kv_pool_bytes, 0, kMaxU64, "kv_pool_bytes");
  archive.Number(m.bytes_per_token, 0, kMaxU64, "bytes_per_token");
  for (const TokenId token : m.end_of_sequence) {
    archive.Require(static_cast<uint32_t>(token) < m.vocabulary_size, "end_of_sequence");
  }
}

template <typename A>
void Fields(A& archive, typename A::template Ref<Loading> m) {
  archive.Number(m.done, 0, kMaxU32, "done");
  archive.Number(m.total, 0, kMaxU32, "total");
  archive.Require(m.done <= m.total, "done");
}

template <typename A>
void Fields(A& archive, typename A::template Ref<TokenLogprobs> m) {
  archive.Number(m.logprob, kLeastLogprob, kMostLogprob, "logprob");
  archive.List(m.top, kMaxTopLogprobs, 8, "top", [](auto& ar, auto& item) {
    ar.Number(item.first, 0, kMaxI32, "top.token");
    ar.Number(item.second, kLeastLogprob, kMostLogprob, "top.logprob");
  });
}

template <typename A>
void Fields(A& archive, typename A::template Ref<Usage> m) {
  archive.Number(m.prompt_tokens, 0, kMaxU32, "usage.prompt_tokens");
  archive.Number(m.cached_tokens, 0, kMaxU32, "usage.cached_tokens");
  archive.Number(m.completion_tokens, 0, kMaxU32, "usage.completion_tokens");
  archive.Number(m.decode_steps, 0, kMaxU64, "usage.decode_steps");
  archive.Number(m.prefill_ns, 0, kMaxI64, "usage.prefill_ns");
  archive.Number(m.decode_ns, 0, kMaxI64, "usage.decode_ns");
  archive.Number(m.decode_bytes, 0, kMaxU64, "usage.decode_bytes");
  archive.Number(m.mean_batch, 0.0, kMaxRate, "usage.mean_batch");
  archive.Require(m.cached_tokens <= m.prompt_tokens, "usage.cached_tokens");
}

template <typename A>
void Fields(A& archive, typename A::template Ref<Tokens> m) {
  archive.Number(m.request, 1, kMaxU64, "request");
  archive.Number(m.choice, 0, kMaxChoices - 1, "choice");
  archive.Number(m.first_index, 0, kMaxU32 - kMaxTokensPerEvent, "first_index");
  archive.List(m.tokens, kMaxTokensPerEvent, 4, "tokens", kToken);
  archive.List(m.logprobs, kMaxTokensPerEvent, 8, "logprobs", [](auto& ar, auto& item) { Fields(ar, item); });
  archive.Require(m.logprobs.empty() || m.logprobs.size() == m.tokens.size(), "logprobs");
  uint8_t finish = static_cast<uint8_t>(m.finish);
  archive.Number(finish, 0, static_cast<uint8_t>(FinishReason::kError), "finish");
  if constexpr (A::kReads) m.finish = static_cast<FinishReason>(finish);
  archive.Require(!m.tokens.empty() || m.finish != FinishReason::kNone, "tokens");
  Fields(archive, m.clocks);
  bool has_usage = m.usage.has_value();
  archive.Truth(has_usage, "has_usage");
  if (!has_usage) return;
  if constexpr (A::kReads) m.usage.emplace();
  Fields(archive, *m.usage);
}

template <typename A>
void Fields(A& archive, typename A::template Ref<Failed> m) {
  archive.Number(m.request, 0, kMaxU64, "request");
  uint8_t code = static_cast<uint8_t>(m.code);
  archive.Number(code, 1, static_cast<uint8_t>(Code::kInternal), "code");
  if constexpr (A::kReads) m.code = static_cast<Code>(code);
  archive.Text(m.message, kMaxErrorBytes, TextKind::kUtf8, "message");
}

template <typename A>
void Fields(A& archive, typename A::template Ref<Roof> m) {
  archive.Number(m.buffer_bytes, 0, kMaxU64, "buffer_bytes");
  archive.Number(m.threads, 0, kMaxThreads, "threads");
  archive.Number(m.gb_s, 0.0, kMaxRate, "gb_s");
}

template <typename A>
void Fields(A& archive, typename A::template Ref<Attach> m) {
  archive.Number(m.protocol, kProtocolVersion, kProtocolVersion, "protocol");
  archive.Number(m.incarnation, 0, kMaxU32, "incarnation");
  archive.Number(m.context, 0, kMaxContext, "context");
  archive.Number(m.slots, 0, kMaxSlots, "slots");
  archive.Number(m.threads, 0, kMaxThreads, "threads");
  archive.Number(m.prefill_chunk, 0, kMaxContext, "prefill_chunk");
  archive.Number(m.kv_type, 0, kMaxKvType, "kv_type");
  archive.Truth(m.reference, "reference");
  archive.Text(m.isa, kNameBytes, TextKind::kPrintableAscii, "isa");
  archive.Text(m.model_name, kMaxAttachName, TextKind::kUtf8, "model_name");
  archive.Number(m.quantise, 0, 8, "quantise");
  archive.Require(m.quantise == 0 || m.quantise == 4 || m.quantise == 8, "quantise");
  archive.List(m.files, kMaxAttachFiles, sizeof(uint32_t), "files",
               [](auto& each, auto& name) { each.Text(name, kMaxAttachFileName, TextKind::kUtf8, "files"); });
}

// ---- Record types ----

constexpr RecordType TypeOf(const Cancel&) { return RecordType::kCancel; }
constexpr RecordType TypeOf(const Shutdown&) { return RecordType::kShutdown; }
constexpr RecordType TypeOf(const Hello&) { return RecordType::kHello; }
constexpr RecordType TypeOf(const Loading&) { return RecordType::kLoading; }
constexpr RecordType TypeOf(const Tokens&) { return RecordType::kTokens; }
constexpr RecordType TypeOf(const Failed&) { return RecordType::kFailed; }
constexpr RecordType TypeOf(const Roof&) { return RecordType::kRoof; }

template <typename M>
Result<M> Decode(std::span<const std::byte> bytes, std::string_view name) {
  M message;
  WireReader reader(bytes);
  Fields(reader, message);
  if (Status status = reader.Finish(); !status.ok()) return status.Within(name);
  return message;
}

// A failed ring and a full one look the same here; RingProducer::health tells.
bool PushOne(RingProducer& ring, RecordType type, const WireWriter& writer) {
  const Result<bool> pushed = ring.TryPush(static_cast<uint16_t>(type), writer.written());
  return pushed.ok() && *pushed;
}

// ---- Submit: begin, parts, end, visible to the worker all at once ----

struct SubmitPart {
  RequestId request = 0;
  uint32_t list = 0;
  std::vector<TokenId> tokens;
};

template <typename A>
void Fields(A& archive, typename A::template Ref<SubmitPart> m) {
  archive.Number(m.request, 1, kMaxU64, "request");
  archive.Number(m.list, 0, static_cast<uint32_t>(PartList::kForced), "list");
  archive.List(m.tokens, kPartTokens, 4, "tokens", kToken);
  archive.Require(!m.tokens.empty(), "tokens");
}

struct SubmitEnd {
  RequestId request = 0;
  TokenCounts counts;
};

template <typename A>
void Fields(A& archive, typename A::template Ref<SubmitEnd> m) {
  archive.Number(m.request, 1, kMaxU64, "request");
  archive.Number(m.counts.prompt, 1, kMaxPromptTokens, "prompt_tokens");
  archive.Number(m.counts.forced, 0, kMaxPromptTokens, "forced_tokens");
}

// Records of one submission, encoded one after the other into one buffer.
class SubmitEncoder {
 public:
  explicit SubmitEncoder(const Submit& submit) : submit_(submit) {
    buffer_.resize(SubmitRingBytes(submit.prompt.size() + submit.forced.size()));
  }

  // The first field that breaks its limits; null when all is well.
  const char* Encode() {
    const TokenCounts counts{Count(submit_.prompt), Count(submit_.forced)};
    Add(RecordType::kSubmitBegin, [&](WireWriter& writer) { Fields(writer, submit_, counts); });
    AddParts(PartList::kPrompt, submit_.prompt);
    AddParts(PartList::kForced, submit_.forced);
    Add(RecordType::kSubmitEnd, [&](WireWriter& writer) { Fields(writer, SubmitEnd{submit_.request, counts}); });
    return broken_;
  }

  std::span<const RingProducer::Item> items() const { return items_; }

 private:
  static uint32_t Count(const std::vector<TokenId>& tokens) {
    return static_cast<uint32_t>(std::min<size_t>(tokens.size(), kMaxU32));
  }

  template <typename Write>
  void Add(RecordType type, Write write) {
    if (broken_ != nullptr) return;
    WireWriter writer{std::span(buffer_).subspan(used_)};
    write(writer);
    broken_ = writer.broken_field();
    items_.push_back({static_cast<uint16_t>(type), writer.written()});
    used_ += writer.written().size();
  }

  void AddParts(PartList list, std::span<const TokenId> tokens) {
    while (!tokens.empty() && broken_ == nullptr) {
      const size_t count = std::min(tokens.size(), kPartTokens);
      SubmitPart part{submit_.request, static_cast<uint32_t>(list), {}};
      part.tokens.assign(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count));
      Add(RecordType::kSubmitPart, [&](WireWriter& writer) { Fields(writer, part); });
      tokens = tokens.subspan(count);
    }
  }

  const Submit& submit_;
  std::vector<std::byte> buffer_;
  size_t used_ = 0;
  std::vector<RingProducer::Item> items_;
  const char* broken_ = nullptr;
};

// The gateway must not die of a message: what breaks its own limits is logged and not sent.
bool ReportBroken(const char* field) {
  LogError("a message to the worker breaks its own limits in field '{}' and is not sent", field);
  return false;
}

// An error text that grew too long or quotes a stranger's bytes is no reason to die: made valid, then cut between code points.
std::string FitErrorText(std::string_view text) {
  const std::string valid = Utf8Sanitize(text);
  size_t size = 0;
  while (size < valid.size()) {
    const size_t length = Utf8SequenceLength(std::string_view(valid).substr(size));
    if (size + length > kMaxErrorBytes) break;
    size += length;
  }
  return valid.substr(0, size);
}

Status PartError(std::string_view what) { return Error(Code::kDataLoss, "submission: {}", what); }

}  // namespace

size_t SubmitRingBytes(size_t tokens) {
  // Fixed fields of SubmitBegin (213 bytes) rounded up, and its two lists at their longest.
  constexpr size_t kMaxBeginBytes = 256 + 8 * kMaxLogitBias + 4 * kMaxStopTokens;
  const size_t parts = tokens / kPartTokens + 2;  // each of the two lists may end in a part that is not full
  return RecordBytes(kMaxBeginBytes) + parts * RecordBytes(kPartFixedBytes) + parts * kRecordAlignment +
         tokens * sizeof(TokenId) + RecordBytes(kEndBytes);
}

bool Push(RingProducer& ring, const ToWorker& message) {
  if (const Submit* const submit = std::get_if<Submit>(&message)) {
    if (submit->prompt.size() > kMaxPromptTokens || submit->forced.size() > kMaxPromptTokens) return ReportBroken("prompt");
    SubmitEncoder encoder(*submit);
    if (const char* const field = encoder.Encode()) return ReportBroken(field);
    const Result<bool> pushed = ring.TryPushAll(encoder.items());
    return pushed.ok() && *pushed;
  }
  return std::visit(
      [&ring](const auto& small) {
        if constexpr (std::is_same_v<std::decay_t<decltype(small)>, Submit>) {
          return false;  // handled above
        } else {
          std::array<std::byte, 64> buffer;
          WireWriter writer(buffer);
          Fields(writer, small);
          if (const char* const field = writer.broken_field()) return ReportBroken(field);
          return PushOne(ring, TypeOf(small), writer);
        }
      },
      message);
}

bool Push(RingProducer& ring, const ToGateway& message) {
  if (const Failed* const failed = std::get_if<Failed>(&message);
      failed != nullptr && (failed->message.size() > kMaxErrorBytes || !Utf8IsValid(failed->message))) {
    return Push(ring, ToGateway(Failed{failed->request, failed->code, FitErrorText(failed->message)}));
  }
  return std::visit(
      [&ring](const auto& event) {
        std::array<std::byte, kMaxPayloadBytes> buffer;  // on the stack, not zeroed: no allocation while decoding
        WireWriter writer(buffer);
        Fields(writer, event);
        CHECK(writer.broken_field() == nullptr, writer.broken_field());
        return PushOne(ring, TypeOf(event), writer);
      },
      message);
}

namespace {

// Adds the tokens of a part to what is there of its list, or says why they cannot belong there.
Status AppendPart(const SubmitPart& part, uint64_t expected_tokens, Submit& submit) {
  if (part.request != submit.request) return PartError("a part belongs to another request");
  const bool forced = part.list == static_cast<uint32_t>(PartList::kForced);
  if (!forced && !submit.forced.empty()) return PartError("prompt tokens after forced tokens");
  if (submit.prompt.size() + submit.forced.size() + part.tokens.size() > expected_tokens)
    return PartError("more tokens than announced");
  std::vector<TokenId>& list = forced ? submit.forced : submit.prompt;
  list.insert(list.end(), part.tokens.begin(), part.tokens.end());
  return {};
}

Status CheckEnd(const SubmitEnd& end, uint64_t expected_tokens, const Submit& submit) {
  if (end.request != submit.request) return PartError("an end belongs to another request");
  if (submit.prompt.size() != end.counts.prompt || submit.forced.size() != end.counts.forced ||
      submit.prompt.size() + submit.forced.size() != expected_tokens) {
    return Error(Code::kDataLoss, "submission: expected {} prompt and {} forced tokens ({} announced), found {} and {}",
                 end.counts.prompt, end.counts.forced, expected_tokens, submit.prompt.size(), submit.forced.size());
  }
  return {};
}

std::optional<ToWorker> Some(ToWorker message) { return std::optional<ToWorker>(std::move(message)); }

}  // namespace

Result<std::optional<ToWorker>> ToWorkerReader::Feed(const Record& record) {
  const auto type = static_cast<RecordType>(record.type());
  const bool continues = type == RecordType::kSubmitPart || type == RecordType::kSubmitEnd;
  if (continues != partial_.has_value())
    return PartError(continues ? "a part without a beginning" : "another record before its end");
  switch (type) {
    case RecordType::kSubmitBegin: {
      Submit submit;
      TokenCounts counts;
      WireReader reader(record.payload());
      Fields(reader, submit, counts);
      if (Status status = reader.Finish(); !status.ok()) return status.Within("submit");
      partial_ = std::move(submit);
      expected_tokens_ = uint64_t{counts.prompt} + counts.forced;
      return std::optional<ToWorker>();
    }
    case RecordType::kSubmitPart: {
      ASSIGN_OR_RETURN(const SubmitPart part, Decode<SubmitPart>(record.payload(), "submit part"));
      RETURN_IF_ERROR(AppendPart(part, expected_tokens_, *partial_));
      return std::optional<ToWorker>();
    }
    case RecordType::kSubmitEnd: {
      ASSIGN_OR_RETURN(const SubmitEnd end, Decode<SubmitEnd>(record.payload(), "submit end"));
      RETURN_IF_ERROR(CheckEnd(end, expected_tokens_, *partial_));
      std::optional<ToWorker> message = Some(std::move(*partial_));
      partial_.reset();
      return message;
    }
    case RecordType::kCancel: {
      ASSIGN_OR_RETURN(Cancel cancel, Decode<Cancel>(record.payload(), "cancel"));
      return Some(cancel);
    }
    case RecordType::kShutdown: {
      ASSIGN_OR_RETURN(Shutdown shutdown, Decode<Shutdown>(record.payload(), "shutdown"));
      return Some(shutdown);
    }
    default:
      return Error(Code::kDataLoss, "a record of type {} is not for a worker", record.type());
  }
}

namespace {

template <typename M>
Result<ToGateway> DecodeAs(const Record& record, std::string_view name) {
  ASSIGN_OR_RETURN(M message, Decode<M>(record.payload(), name));
  return ToGateway(std::move(message));
}

}  // namespace

Result<ToGateway> ReadToGateway(const Record& record) {
  switch (static_cast<RecordType>(record.type())) {
    case RecordType::kHello:
      return DecodeAs<Hello>(record, "hello");
    case RecordType::kLoading:
      return DecodeAs<Loading>(record, "loading");
    case RecordType::kTokens:
      return DecodeAs<Tokens>(record, "tokens");
    case RecordType::kFailed:
      return DecodeAs<Failed>(record, "failed");
    case RecordType::kRoof:
      return DecodeAs<Roof>(record, "roof");
    default:
      return Error(Code::kDataLoss, "a record of type {} is not for the gateway", record.type());
  }
}

std::vector<std::byte> Encode(const Attach& attach) {
  std::vector<std::byte> buffer(kMaxAttachBytes);
  WireWriter writer(buffer);
  Fields(writer, attach);
  CHECK(writer.broken_field() == nullptr, writer.broken_field());
  return {writer.written().begin(), writer.written().end()};
}

Result<Attach> DecodeAttach(std::span<const std::byte> bytes) { return Decode<Attach>(bytes, "attach"); }

}  // namespace millrace::ipc
