#include "api/chat_request.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "api/fields.h"

namespace millrace::api {
namespace {

constexpr int64_t kMaxCount = std::numeric_limits<uint32_t>::max() - 1;
constexpr int64_t kMaxTokenId = std::numeric_limits<TokenId>::max();

// Fields that only make sense together; held until all are read.
struct Draft {
  ChatRequest request;
  PromptReader prompt;
  bool logprobs = false;
  std::optional<int64_t> top_logprobs;
  std::optional<int64_t> max_tokens;
  std::optional<int64_t> max_completion_tokens;
  bool has_stream_options = false;
};

using Reader = Complaint (*)(const Json& value, std::string_view param, Draft& draft);

// [low, high] into an optional float of the sampling parameters.
template <std::optional<float> SamplingRequest::* kField, int kLow, int kHigh>
Complaint ReadFloat(const Json& value, std::string_view param, Draft& draft) {
  double number = 0;
  if (auto bad = ReadNumber(value, param, kLow, kHigh, number)) return bad;
  draft.request.sampling.*kField = static_cast<float>(number);
  return std::nullopt;
}

Complaint ReadTopP(const Json& value, std::string_view param, Draft& draft) {
  double number = 0;
  if (auto bad = ReadNumber(value, param, 0, 1, number)) return bad;
  // 0 means "the best token only", as the smallest positive value does.
  draft.request.sampling.top_p = std::max(static_cast<float>(number), std::numeric_limits<float>::min());
  return std::nullopt;
}

Complaint ReadRepetitionPenalty(const Json& value, std::string_view param, Draft& draft) {
  double number = 0;
  if (auto bad = ReadNumber(value, param, 0, 10, number)) return bad;
  if (static_cast<float>(number) < std::numeric_limits<float>::min())
    return Mismatch(param, "a number above 0 and up to 10", value);
  draft.request.sampling.repetition_penalty = static_cast<float>(number);
  return std::nullopt;
}

template <float SamplingRequest::* kField>
Complaint ReadPenalty(const Json& value, std::string_view param, Draft& draft) {
  double number = 0;
  if (auto bad = ReadNumber(value, param, -2, 2, number)) return bad;
  draft.request.sampling.*kField = static_cast<float>(number);
  return std::nullopt;
}

template <bool ChatRequest::* kField>
Complaint ReadFlag(const Json& value, std::string_view param, Draft& draft) {
  return ReadBool(value, param, draft.request.*kField);
}

Complaint ReadModel(const Json& value, std::string_view param, Draft& draft) {
  if (auto bad = ReadString(value, param, draft.request.model)) return bad;
  if (draft.request.model.empty()) return Mismatch(param, "the name of a model", value);
  return std::nullopt;
}

Complaint ReadPrompt(const Json& value, std::string_view param, Draft& draft) { return draft.prompt.Read(param, value); }

Complaint ReadTopK(const Json& value, std::string_view param, Draft& draft) {
  int64_t number = 0;
  if (auto bad = ReadInteger(value, param, -1, std::numeric_limits<int32_t>::max(), number)) return bad;
  draft.request.sampling.top_k = static_cast<int32_t>(std::max<int64_t>(number, 0));  // both -1 and 0 are in use for "off"
  return std::nullopt;
}

template <std::optional<int64_t> Draft::* kField, int64_t kLow, int64_t kHigh>
Complaint ReadCount(const Json& value, std::string_view param, Draft& draft) {
  int64_t number = 0;
  if (auto bad = ReadInteger(value, param, kLow, kHigh, number)) return bad;
  draft.*kField = number;
  return std::nullopt;
}

Complaint ReadMinTokens(const Json& value, std::string_view param, Draft& draft) {
  int64_t number = 0;
  if (auto bad = ReadInteger(value, param, 0, kMaxCount, number)) return bad;
  draft.request.sampling.min_tokens = static_cast<uint32_t>(number);
  return std::nullopt;
}

Complaint ReadIgnoreEos(const Json& value, std::string_view param, Draft& draft) {
  return ReadBool(value, param, draft.request.sampling.ignore_eos);
}

Complaint ReadSeed(const Json& value, std::string_view param, Draft& draft) {
  // Any 64-bit integer; a negative one stands for its bit pattern, so that each of them names one random stream.
  if (value.is_integer()) {
    const auto positive = value.as_uint64();
    draft.request.sampling.seed = positive.ok() ? *positive : static_cast<uint64_t>(*value.as_int64());
    return std::nullopt;
  }
  int64_t number = 0;
  constexpr int64_t kExactInDouble = int64_t{1} << 53;
  if (auto bad = ReadInteger(value, param, -kExactInDouble, kExactInDouble, number)) return bad;
  draft.request.sampling.seed = static_cast<uint64_t>(number);
  return std::nullopt;
}

Complaint ReadLogitBias(const Json& value, std::string_view param, Draft& draft) {
  if (!value.is_object()) return Mismatch(param, "an object from token id to bias", value);
  if (value.members().size() > kMaxLogitBias) {
    return Invalid(param, fmt::format("'{}': at most {} entries, found {}", param, kMaxLogitBias, value.members().size()));
  }
  auto& entries = draft.request.sampling.logit_bias;
  for (const auto& [key, entry] : value.members()) {
    TokenId id = kNoToken;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0) {
      return Mismatch(param, "token ids as keys", Json(key));
    }
    double bias = 0;
    if (auto bad = ReadNumber(entry, fmt::format("{}.{}", param, id), -100, 100, bias)) return bad;
    entries.emplace_back(id, static_cast<float>(bias));
  }
  // "7" and "07" are two keys and one token.
  std::sort(entries.begin(), entries.end());
  const auto same_id = [](const auto& a, const auto& b) { return a.first == b.first; };
  if (const auto twice = std::adjacent_find(entries.begin(), entries.end(), same_id); twice != entries.end()) {
    return Invalid(param, fmt::format("'{}': token {} is named twice", param, twice->first));
  }
  return std::nullopt;
}

Complaint ReadStopTokens(const Json& value, std::string_view param, Draft& draft) {
  if (!value.is_array()) return Mismatch(param, "an array of token ids", value);
  if (value.items().size() > kMaxStopTokens) {
    return Invalid(param, fmt::format("'{}': at most {} ids, found {}", param, kMaxStopTokens, value.items().size()));
  }
  for (size_t i = 0; i < value.items().size(); ++i) {
    int64_t id = 0;
    if (auto bad = ReadInteger(value.items()[i], fmt::format("{}[{}]", param, i), 0, kMaxTokenId, id)) return bad;
    draft.request.sampling.stop_tokens.push_back(static_cast<TokenId>(id));
  }
  return std::nullopt;
}

Complaint ReadStopString(const Json& value, std::string_view param, Draft& draft) {
  if (!value.is_string() || value.as_string().empty() || value.as_string().size() > kMaxStopBytes) {
    return Mismatch(param, fmt::format("a string of 1 to {} bytes", kMaxStopBytes), value);
  }
  draft.request.stop.push_back(value.as_string());
  return std::nullopt;
}

Complaint ReadStop(const Json& value, std::string_view param, Draft& draft) {
  if (value.is_string()) return ReadStopString(value, param, draft);
  if (!value.is_array()) return Mismatch(param, "a string or an array of strings", value);
  if (value.items().size() > kMaxStopStrings) {
    return Invalid(param, fmt::format("'{}': at most {} strings, found {}", param, kMaxStopStrings, value.items().size()));
  }
  for (size_t i = 0; i < value.items().size(); ++i) {
    if (auto bad = ReadStopString(value.items()[i], fmt::format("{}[{}]", param, i), draft)) return bad;
  }
  return std::nullopt;
}

Complaint ReadLogprobs(const Json& value, std::string_view param, Draft& draft) { return ReadBool(value, param, draft.logprobs); }

Complaint ReadStreamOptions(const Json& value, std::string_view param, Draft& draft) {
  if (!value.is_object()) return Mismatch(param, "an object", value);
  draft.has_stream_options = true;
  for (const auto& [key, option] : value.members()) {
    const std::string at = fmt::format("{}.{}", param, key.substr(0, 64));
    if (option.is_null()) continue;
    if (key == "include_usage") {
      if (auto bad = ReadBool(option, at, draft.request.include_usage)) return bad;
    } else if (key == "include_obfuscation") {
      bool obfuscate = false;
      if (auto bad = ReadBool(option, at, obfuscate)) return bad;
      if (obfuscate) draft.request.ignored.push_back("stream_options.include_obfuscation");
    } else {
      return Invalid(at, fmt::format("unknown parameter '{}'", at));
    }
  }
  return std::nullopt;
}

// Parameters that change nothing a client could miss in the answer.
Complaint Ignore(const Json&, std::string_view param, Draft& draft) {
  draft.request.ignored.emplace_back(param);
  return std::nullopt;
}

Complaint ReadStore(const Json& value, std::string_view param, Draft& draft) {
  bool store = false;
  if (auto bad = ReadBool(value, param, store)) return bad;
  if (store) return NotSupported(param, "'store': this server stores no completions; only false is supported");
  draft.request.ignored.emplace_back(param);
  return std::nullopt;
}

Complaint ReadN(const Json& value, std::string_view param, Draft&) {
  int64_t number = 0;
  if (auto bad = ReadInteger(value, param, 1, 128, number)) return bad;
  if (number != 1) return NotSupported(param, fmt::format("'n': only 1 choice per request is supported, found {}", number));
  return std::nullopt;
}

Complaint Refuse(const Json& value, std::string_view param, Draft&) {
  const bool empty = (value.is_array() && value.items().empty()) || (value.is_bool() && !value.as_bool());
  if (empty) return std::nullopt;
  return NotSupported(param, fmt::format("'{}' is not supported", param));
}

Complaint RefuseUnlessNone(const Json& value, std::string_view param, Draft&) {
  if (value.is_string() && value.as_string() == "none") return std::nullopt;
  return NotSupported(
      param, fmt::format("'{}': functions are not supported, tools are; only 'none' is, found {}", param, Describe(value)));
}

Complaint ReadResponseFormat(const Json& value, std::string_view param, Draft&) {
  const Json* type = value.Find("type");
  if (type == nullptr || !type->is_string())
    return Mismatch(fmt::format("{}.type", param), "a string", type == nullptr ? Json() : *type);
  if (type->as_string() == "text") return std::nullopt;
  return NotSupported(param, fmt::format("'{}': only the type 'text' is supported, found {}", param, Describe(*type)));
}

Complaint ReadModalities(const Json& value, std::string_view param, Draft&) {
  const auto is_text = [](const Json& item) { return item.is_string() && item.as_string() == "text"; };
  if (value.is_array() && std::all_of(value.items().begin(), value.items().end(), is_text)) return std::nullopt;
  return NotSupported(param, fmt::format("'{}': only [\"text\"] is supported", param));
}

struct Parameter {
  std::string_view name;
  Reader read;
};

constexpr std::array kParameters = {
    // Honoured.
    Parameter{"model", ReadModel},
    Parameter{"messages", ReadPrompt},
    Parameter{"tools", ReadPrompt},
    Parameter{"tool_choice", ReadPrompt},
    Parameter{"documents", ReadPrompt},
    Parameter{"add_generation_prompt", ReadPrompt},
    Parameter{"continue_final_message", ReadPrompt},
    Parameter{"chat_template", ReadPrompt},
    Parameter{"chat_template_kwargs", ReadPrompt},
    Parameter{"reasoning_effort", ReadPrompt},
    Parameter{"max_tokens", ReadCount<&Draft::max_tokens, 1, kMaxCount>},
    Parameter{"max_completion_tokens", ReadCount<&Draft::max_completion_tokens, 1, kMaxCount>},
    Parameter{"temperature", ReadFloat<&SamplingRequest::temperature, 0, 100>},
    Parameter{"top_p", ReadTopP},
    Parameter{"top_k", ReadTopK},
    Parameter{"min_p", ReadFloat<&SamplingRequest::min_p, 0, 1>},
    Parameter{"repetition_penalty", ReadRepetitionPenalty},
    Parameter{"presence_penalty", ReadPenalty<&SamplingRequest::presence_penalty>},
    Parameter{"frequency_penalty", ReadPenalty<&SamplingRequest::frequency_penalty>},
    Parameter{"logit_bias", ReadLogitBias},
    Parameter{"seed", ReadSeed},
    Parameter{"stop", ReadStop},
    Parameter{"stop_token_ids", ReadStopTokens},
    Parameter{"logprobs", ReadLogprobs},
    Parameter{"top_logprobs", ReadCount<&Draft::top_logprobs, 0, kMaxTopLogprobs>},
    Parameter{"stream", ReadFlag<&ChatRequest::stream>},
    Parameter{"stream_options", ReadStreamOptions},
    Parameter{"n", ReadN},
    Parameter{"ignore_eos", ReadIgnoreEos},
    Parameter{"min_tokens", ReadMinTokens},
    // Honoured in one value, refused in every other.
    Parameter{"function_call", RefuseUnlessNone},
    Parameter{"response_format", ReadResponseFormat},
    Parameter{"modalities", ReadModalities},
    // Ignored and reported.
    Parameter{"store", ReadStore},
    Parameter{"user", Ignore},
    Parameter{"safety_identifier", Ignore},
    Parameter{"service_tier", Ignore},
    Parameter{"metadata", Ignore},
    Parameter{"prompt_cache_key", Ignore},
    Parameter{"prompt_cache_retention", Ignore},
    Parameter{"verbosity", Ignore},
    Parameter{"parallel_tool_calls", Ignore},
    Parameter{"prediction", Ignore},
    // Refused: they would change the answer.
    Parameter{"functions", Refuse},
    Parameter{"audio", Refuse},
    Parameter{"web_search_options", Refuse},
};

Complaint ReadParameters(const Json& body, Draft& draft) {
  for (const auto& [key, value] : body.members()) {
    const auto parameter =
        std::find_if(kParameters.begin(), kParameters.end(), [&](const Parameter& p) { return p.name == key; });
    if (parameter == kParameters.end()) {
      const std::string name = key.substr(0, 64);
      ApiError error = Invalid(name, fmt::format("unknown parameter '{}'", name));
      error.code = "unknown_parameter";
      return error;
    }
    if (value.is_null()) continue;  // clients write optional fields out as null
    if (auto bad = parameter->read(value, parameter->name, draft)) return bad;
  }
  return std::nullopt;
}

Complaint CheckTogether(Draft& draft) {
  ChatRequest& request = draft.request;
  if (request.model.empty()) return Invalid("model", "'model' is missing: expected the name of a model");
  if (auto bad = draft.prompt.Finish(request.prompt)) return bad;
  // Calls come as the model writes them, in the text of the answer.
  if (!request.prompt.tools.empty()) request.ignored.emplace_back("tool_calls");
  if (draft.top_logprobs && !draft.logprobs) return Invalid("top_logprobs", "'top_logprobs' needs 'logprobs': true");
  if (draft.logprobs) request.sampling.top_logprobs = static_cast<int32_t>(draft.top_logprobs.value_or(0));
  if (draft.has_stream_options && !request.stream) return Invalid("stream_options", "'stream_options' needs 'stream': true");
  if (draft.max_tokens && draft.max_completion_tokens && *draft.max_tokens != *draft.max_completion_tokens) {
    return Invalid("max_tokens", fmt::format("'max_tokens' is {} and 'max_completion_tokens' is {}: send one of them",
                                             *draft.max_tokens, *draft.max_completion_tokens));
  }
  const auto limit = draft.max_completion_tokens ? draft.max_completion_tokens : draft.max_tokens;
  if (limit) request.sampling.max_tokens = static_cast<uint32_t>(*limit);
  if (limit && request.sampling.min_tokens > *limit) {
    return Invalid("min_tokens",
                   fmt::format("'min_tokens' is {}, above the limit of {} tokens", request.sampling.min_tokens, *limit));
  }
  return std::nullopt;
}

}  // namespace

Parsed<ChatRequest> ParseChat(std::string_view body) {
  const auto json = ParseBody(body);
  if (!json.ok()) return json.error();
  Draft draft;
  if (auto bad = ReadParameters(json.value(), draft)) return *std::move(bad);
  if (auto bad = CheckTogether(draft)) return *std::move(bad);
  return std::move(draft.request);
}

}  // namespace millrace::api
