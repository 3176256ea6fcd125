// What a model's files say about chat, whichever form they have: the templates by name, and the special tokens by the names under which
// templates know them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "model/model_source.h"
#include "text/chat_prompt.h"

namespace millrace::model {

inline constexpr size_t kMaxTemplateBytes = size_t{1} << 20;  // of one template

// Empty when there is none. At most text::kMaxChatTemplates, each UTF-8 of at most kMaxTemplateBytes. As transformers reads them:
//  - a directory has them in chat_template.jinja ("default") and additional_chat_templates/NAME.jinja; without these in
//    tokenizer_config.json, as one text or as a list with names; without that in chat_template.json, which otherwise belongs to images;
//  - a GGUF file has them in tokenizer.chat_template ("default") and tokenizer.chat_template.NAME.
// Of two default ones a directory's folder, as in transformers, and a GGUF file's tokenizer.chat_template win.
Result<std::vector<text::NamedTemplate>> ChatTemplatesOf(const ModelSource& source);

// Those of a file like tokenizer_config.json alone; `file` names itself in errors.
Result<std::vector<text::NamedTemplate>> ChatTemplatesOfJson(const NamedFile& file);

// The file of a directory that holds the template of this name. What is no file name becomes one.
std::string TemplateFileOf(std::string_view name);

// {"bos_token": "<s>", …}: only those that the model has. A directory has them in tokenizer_config.json, under every name that ends in
// "_token", and in special_tokens_map.json where the former lists no added tokens; a GGUF file under the usual seven names.
Result<Json::Object> ChatTokensOf(const ModelSource& source);

inline constexpr std::string_view kOwnChatFormat = "model";

struct ModelChat {
  text::ChatTemplates templates;
  std::string_view format;  // kOwnChatFormat, else what text::DefaultChatFor chose: whoever shows models tells it
};
// `has_token`: whether the vocabulary holds a token of this text.
Result<ModelChat> ChatOf(const ModelSource& source, const std::function<bool(std::string_view)>& has_token);

}  // namespace millrace::model
