// One file of a model: what it is called in its directory, and its bytes, which someone else keeps.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace millrace::model {

struct NamedFile {
  std::string_view name;  // in the directory of the model
  std::span<const std::byte> bytes;

  std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

inline constexpr std::string_view kConfigFile = "config.json";
inline constexpr std::string_view kIndexFile = "model.safetensors.index.json";
inline constexpr std::string_view kSingleShard = "model.safetensors";
inline constexpr std::string_view kShardSuffix = ".safetensors";
inline constexpr std::string_view kTokenizerFile = "tokenizer.json";
inline constexpr std::string_view kTokenizerConfigFile = "tokenizer_config.json";
inline constexpr std::string_view kSpecialTokensFile = "special_tokens_map.json";
inline constexpr std::string_view kGenerationConfigFile = "generation_config.json";
inline constexpr std::string_view kTemplateFile = "chat_template.jinja";
inline constexpr std::string_view kTemplateJsonFile = "chat_template.json";
inline constexpr std::string_view kTemplateFolder = "additional_chat_templates/";  // of the model's directory
inline constexpr std::string_view kTemplateSuffix = ".jinja";

}  // namespace millrace::model
