// Metadata: what a model's file says about itself, by keys that have one name in GGUF and one in config.json. Families read numbers
// through it, so that one function serves both forms and every message names the key as it stands in the file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "weights/gguf.h"

namespace millrace::model {

// One idea under two names. In GGUF the architecture's prefix is added: "block_count" is "llama.block_count". A name that is empty does
// not exist in that form. Names of config.json may lead into objects: "rope_scaling.factor".
struct Key {
  std::string_view gguf;
  std::string_view config;
};

// A view: the file or document outlives it. Exactly one of the two is there.
class Metadata {
 public:
  // kDataLoss without general.architecture.
  static Result<Metadata> Of(const weights::GgufFile& file);
  // `config`: the parsed config.json. kDataLoss without model_type.
  static Result<Metadata> Of(const Json& config);

  bool is_gguf() const { return gguf_ != nullptr; }
  const weights::GgufFile& gguf() const { return *gguf_; }
  const Json& config() const { return *config_; }
  // general.architecture or model_type; anything may stand there, ShownText before showing it.
  std::string_view architecture() const { return architecture_; }
  // general.name or _name_or_path, fit to be shown; may be empty.
  std::string name() const;

  // False also for null in config.json.
  bool Has(const Key& key) const;
  // config.json holds null: the model does without, which is more than not saying so. Never in GGUF.
  bool IsNull(const Key& key) const;
  // "metadata 'llama.block_count'" or "config.json 'num_hidden_layers'": how messages begin.
  std::string Where(const Key& key) const;

  // kDataLoss when the key is absent, kInvalidArgument for another type or a value that does not fit.
  Result<uint32_t> U32(const Key& key) const;
  Result<double> Number(const Key& key) const;  // integers too; finite. GGUF's f32 as the double of equal value
  Result<bool> Bool(const Key& key) const;
  Result<std::string> String(const Key& key) const;

  // Lists of at most `limit` elements; numbers are finite, and true and false count as 1 and 0.
  Result<std::vector<double>> Numbers(const Key& key, size_t limit) const;
  Result<std::vector<std::string>> Strings(const Key& key, size_t limit) const;

  Result<uint32_t> U32Or(const Key& key, uint32_t fallback) const;
  Result<double> NumberOr(const Key& key, double fallback) const;
  Result<bool> BoolOr(const Key& key, bool fallback) const;

  // U32 within 1..limit.
  Result<uint32_t> Dimension(const Key& key, uint32_t limit) const;
  Result<uint32_t> DimensionOr(const Key& key, uint32_t limit, uint32_t fallback) const;

 private:
  Metadata() = default;
  std::string GgufKey(const Key& key) const;
  const Json* FindConfig(std::string_view path) const;
  Result<const Json*> RequireConfig(const Key& key) const;
  Result<const Json*> RequireList(const Key& key, size_t limit) const;
  Result<std::vector<double>> GgufNumbers(const Key& key, size_t limit) const;
  Status WrongType(const Key& key, std::string_view expected, const Json& found) const;

  const weights::GgufFile* gguf_ = nullptr;
  const Json* config_ = nullptr;
  std::string_view architecture_;
};

}  // namespace millrace::model
