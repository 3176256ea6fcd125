// tokenizer.json (the format of the Python package `tokenizers`) and the small files beside it, in the neutral form of the text layer.
//
// Read as the package reads it: ids of added tokens are those that it would give them (a file that names others is refused), merges come in both
// forms, models of old files may lack their type. Everything that would change the tokens and that this build does not do is refused, naming the
// member. "truncation" and "padding" are passed over, as `transformers` does unless a caller asks for them. tokenizer_config.json counts as
// `transformers` 5 counts it: special tokens and added tokens that it names are added, add_bos_token and add_eos_token mean nothing beside a
// tokenizer.json (its post_processor says what comes around a text), clean_up_tokenization_spaces means nothing for BPE.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/status.h"
#include "model/named_file.h"
#include "text/tokenizer_spec.h"

namespace millrace::model {

// Missing files have no name.
struct TokenizerFiles {
  NamedFile tokenizer;          // tokenizer.json
  NamedFile tokenizer_config;   // names bos, eos, ...
  NamedFile special_tokens;     // special_tokens_map.json: the same names, where tokenizer_config.json is silent
  NamedFile generation_config;  // eos_token_id: one or several
};

// A JSON object of a small file (tokenizer_config.json and the like); null where the file is missing.
Result<Json> ParseSmallJson(const NamedFile& file);

// `rows` is the number of rows of the model's embedding: ids beyond those of the file become unused tokens, a larger id is an error. Nothing: as
// many as the file has. kNotFound without tokenizer.json. `config_eos` is eos_token_id of config.json, for where there is no
// generation_config.json; may be null. end_of_sequence as TokenizerSpecFromGguf fills it. Messages begin with the name of the file.
Result<text::TokenizerSpec> TokenizerSpecFromJson(const TokenizerFiles& files, const Json* config_eos,
                                                  std::optional<uint32_t> rows);

}  // namespace millrace::model
