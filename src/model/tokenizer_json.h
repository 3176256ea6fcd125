// tokenizer.json (the format of the Python package `tokenizers`) and the small files beside it, in the neutral form of the text layer.
//
// Byte-level BPE only: model BPE, pre-tokenizer ByteLevel, alone or after Split and Digits steps that together are one that text/named_pretokenizer.h
// knows. Everything that would change the tokens and that this build does not do is refused, naming the member; the one exception is the
// normalizer NFC, which is left out, as GGUF programs do: text that is not in NFC becomes tokens as it is written.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/status.h"
#include "model/named_file.h"
#include "text/vocabulary.h"

namespace millrace::model {

// Missing files have no name.
struct TokenizerFiles {
  NamedFile tokenizer;          // tokenizer.json
  NamedFile tokenizer_config;   // names bos, eos, ...; add_bos_token
  NamedFile special_tokens;     // special_tokens_map.json: the same names, where tokenizer_config.json is silent
  NamedFile generation_config;  // eos_token_id: one or several
};

// A JSON object of a small file (tokenizer_config.json and the like); null where the file is missing.
Result<Json> ParseSmallJson(const NamedFile& file);

// `vocab` is the number of rows of the model's embedding: ids beyond those of the file become unused tokens, a larger id is an error.
// kNotFound without tokenizer.json. `config_eos` is eos_token_id of config.json, for where there is no generation_config.json; may be
// null. end_of_sequence as TokenizerSpecFromGguf fills it. Messages begin with the name of the file.
Result<text::TokenizerSpec> TokenizerSpecFromJson(const TokenizerFiles& files, const Json* config_eos, uint32_t vocab);

}  // namespace millrace::model
