#include "model/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/checked.h"
#include "weights/shown_text.h"

namespace millrace::model {

namespace {

using weights::SafetensorsTensor;
using weights::SafetensorsType;
using weights::ShownText;
using weights::TensorView;

constexpr JsonLimits kConfigLimits{.max_bytes = size_t{4} << 20, .max_values = 200'000, .max_depth = 32};
constexpr JsonLimits kIndexLimits{.max_bytes = size_t{64} << 20, .max_values = 1'000'000, .max_depth = 8};

constexpr std::string_view kWeightSuffix = ".weight";

// What training code leaves in checkpoints and no forward pass needs: positions, masks, and rotations that follow from config.json.
constexpr std::array<std::string_view, 4> kIgnoredSuffixes = {".rotary_emb.inv_freq", ".attn.masked_bias", ".position_ids",
                                                              ".rotary_emb.cos_cached"};

bool IsIgnored(std::string_view name) {
  return std::any_of(kIgnoredSuffixes.begin(), kIgnoredSuffixes.end(), [&](auto suffix) { return name.ends_with(suffix); });
}

bool IsShardName(std::string_view name) {
  return name.ends_with(kShardSuffix) && weights::IsPlainName(name) && name.find('/') == std::string_view::npos &&
         name.find('\\') == std::string_view::npos && !name.starts_with('.');
}

Result<Json> ParseObject(const NamedFile& file, const JsonLimits& limits) {
  auto json = Json::Parse(file.text(), limits);
  if (!json.ok()) return json.status().Within(file.name);
  if (!json->is_object()) return Error(Code::kDataLoss, "{}: expected an object, found {}", file.name, json->type_name());
  return json;
}

// The object of tensor names and shard names.
Result<const Json*> WeightMap(const Json& index) {
  const Json* map = index.Find("weight_map");
  if (map == nullptr || !map->is_object()) return Error(Code::kDataLoss, "{} 'weight_map': expected an object", kIndexFile);
  for (const auto& [name, shard] : map->members()) {
    if (!shard.is_string() || !IsShardName(shard.as_string())) {
      return Error(Code::kDataLoss, "{} 'weight_map': tensor '{}': expected the name of a .safetensors file, found {}",
                   kIndexFile, ShownText(name), ShownText(shard.Write()));
    }
  }
  return map;
}

// The dimensions of `shape` (outermost first), its last one replaced by `cols`.
Status SetShape(const std::vector<uint64_t>& shape, uint64_t cols, TensorView& view) {
  if (shape.empty() || shape.size() > weights::kMaxTensorRank) {
    return Error(Code::kUnsupported, "{} dimensions, expected 1 to {}", shape.size(), weights::kMaxTensorRank);
  }
  view.rank = static_cast<uint32_t>(shape.size());
  view.dims = {1, 1, 1, 1};
  view.cols = view.dims[0] = cols;
  view.rows = 1;
  for (size_t i = 1; i < shape.size(); ++i) {
    const uint64_t dim = view.dims[i] = shape[shape.size() - 1 - i];
    const auto rows = CheckedMul(view.rows, dim);
    if (!rows) return Error(Code::kDataLoss, "the number of rows does not fit 64 bits");
    view.rows = *rows;
  }
  if (view.rows == 0 || cols == 0) return Error(Code::kDataLoss, "a dimension is 0");
  return {};
}

Result<TensorView> FloatView(const SafetensorsTensor& tensor) {
  TensorView view;
  view.name = tensor.name;
  const auto dtype = weights::FloatTypeOf(tensor.type);
  if (!dtype) {
    return Error(Code::kUnsupported, "type {}, expected F32, F16, BF16 or the U32 codes of MLX's affine format",
                 weights::SafetensorsTypeName(tensor.type));
  }
  view.dtype = *dtype;
  view.data = tensor.data;
  RETURN_IF_ERROR(SetShape(tensor.shape, tensor.shape.empty() ? 1 : tensor.shape.back(), view));
  return view;
}

// Codes, scales and biases of one matrix; the latter two may be missing.
struct Triple {
  const SafetensorsTensor* codes;
  const SafetensorsTensor* scales;
  const SafetensorsTensor* biases;
};

// The shape that scales and biases must have: that of the codes, with one column per group.
Status CheckGroups(const SafetensorsTensor& part, const std::vector<uint64_t>& expected, DType dtype) {
  if (weights::FloatTypeOf(part.type) != dtype) {
    return Error(Code::kDataLoss, "'{}' has type {}, expected {} like the scales", part.name,
                 weights::SafetensorsTypeName(part.type), Info(dtype).name);
  }
  if (part.shape != expected) {
    return Error(Code::kDataLoss, "'{}' has shape {}, expected [{}]", part.name, part.ShapeText(), fmt::join(expected, ", "));
  }
  return {};
}

Result<TensorView> AffineView(const Triple& triple, const AffineFormat& format) {
  const SafetensorsTensor& codes = *triple.codes;
  TensorView view;
  view.name = codes.name;
  view.dtype = format.dtype();
  const uint64_t words = codes.shape.empty() ? 0 : codes.shape.back();
  // 32 columns take `bits` words. A group is at least that, so what a group divides has whole words.
  const auto columns = CheckedMul<uint64_t>(words / format.bits, 32);
  if (words % format.bits != 0 || !columns || *columns % format.group != 0) {
    return Error(Code::kDataLoss, "{} words of {}-bit codes in a row, expected whole groups of {} columns ({} words each)", words,
                 format.bits, format.group, format.group * format.bits / 32);
  }
  RETURN_IF_ERROR(SetShape(codes.shape, *columns, view));
  const auto dtype = weights::FloatTypeOf(triple.scales->type);
  if (!dtype) {
    return Error(Code::kUnsupported, "'{}' has type {}, expected F32, F16 or BF16", triple.scales->name,
                 weights::SafetensorsTypeName(triple.scales->type));
  }
  std::vector<uint64_t> groups = codes.shape;
  groups.back() = *columns / format.group;
  RETURN_IF_ERROR(CheckGroups(*triple.scales, groups, *dtype));
  RETURN_IF_ERROR(CheckGroups(*triple.biases, groups, *dtype));
  view.data = codes.data;
  view.affine = {.group = format.group, .dtype = *dtype, .scales = triple.scales->data, .biases = triple.biases->data};
  return view;
}

// A matrix in U32 must be one that MLX quantised, whole and announced.
Result<TensorView> QuantisedView(const Triple& triple, std::string_view module, const Quantisation& quantisation) {
  if (triple.scales == nullptr || triple.biases == nullptr) {
    return Error(Code::kDataLoss, "type U32, expected '{}.{}' beside it", module, triple.scales == nullptr ? "scales" : "biases");
  }
  const auto format = quantisation.For(module);
  if (!format) {
    return Error(Code::kDataLoss, "holds codes (U32) with scales, but config.json 'quantization' says {}",
                 quantisation.present() ? "that this module is not quantised" : "nothing");
  }
  return AffineView(triple, *format);
}

}  // namespace

Result<std::vector<std::string>> ShardsOfIndex(std::string_view index_json) {
  const NamedFile file{kIndexFile, std::as_bytes(std::span(index_json))};
  ASSIGN_OR_RETURN(const Json index, ParseObject(file, kIndexLimits));
  ASSIGN_OR_RETURN(const Json* map, WeightMap(index));
  std::vector<std::string> shards;
  for (const auto& [name, shard] : map->members()) shards.push_back(shard.as_string());
  std::sort(shards.begin(), shards.end());
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
  return shards;
}

Result<Checkpoint> Checkpoint::Parse(std::span<const NamedFile> files) {
  Checkpoint checkpoint;
  checkpoint.files_.assign(files.begin(), files.end());
  const NamedFile config = checkpoint.File(kConfigFile);
  if (config.name.empty()) return Error(Code::kNotFound, "{}: missing", kConfigFile);
  ASSIGN_OR_RETURN(Json json, ParseObject(config, kConfigLimits));
  ASSIGN_OR_RETURN(checkpoint.quantisation_, Quantisation::Of(json));
  checkpoint.config_ = std::make_unique<const Json>(std::move(json));
  RETURN_IF_ERROR(checkpoint.ReadShards());

  std::vector<Raw> raws;
  RETURN_IF_ERROR(checkpoint.CollectTensors(raws));
  if (const NamedFile index = checkpoint.File(kIndexFile); !index.name.empty()) {
    RETURN_IF_ERROR(checkpoint.CheckIndex(index.text(), raws));
  }
  RETURN_IF_ERROR(checkpoint.TakeTensors(raws));
  return checkpoint;
}

Status Checkpoint::ReadShards() {
  if (const NamedFile index = File(kIndexFile); !index.name.empty()) {
    ASSIGN_OR_RETURN(const auto names, ShardsOfIndex(index.text()));
    for (const std::string& name : names) {
      const NamedFile shard = File(name);
      if (shard.name.empty()) {
        return Error(Code::kNotFound, "{}: missing, although {} names it", ShownText(name), kIndexFile);
      }
      shard_names_.push_back(shard.name);
    }
  } else {
    for (const NamedFile& file : files_) {
      if (file.name.ends_with(kShardSuffix)) shard_names_.push_back(file.name);
    }
    std::sort(shard_names_.begin(), shard_names_.end());
  }
  if (shard_names_.empty()) return Error(Code::kNotFound, "{}: missing, and no other {} file", kSingleShard, kShardSuffix);
  for (const std::string_view name : shard_names_) {
    auto shard = weights::SafetensorsFile::Parse(File(name).bytes);
    if (!shard.ok()) return shard.status().Within(name);
    shards_.push_back(*std::move(shard));
  }
  return {};
}

// All tensors of all shards by name.
Status Checkpoint::CollectTensors(std::vector<Raw>& raws) const {
  for (uint32_t shard = 0; shard < shards_.size(); ++shard) {
    for (const SafetensorsTensor& tensor : shards_[shard].tensors()) raws.push_back({&tensor, shard});
  }
  std::sort(raws.begin(), raws.end(), [](const Raw& a, const Raw& b) { return a.tensor->name < b.tensor->name; });
  const auto twice =
      std::adjacent_find(raws.begin(), raws.end(), [](const Raw& a, const Raw& b) { return a.tensor->name == b.tensor->name; });
  if (twice == raws.end()) return {};
  return Error(Code::kDataLoss, "tensor '{}': stands in {} and in {}", twice->tensor->name, shard_names_[twice->shard],
               shard_names_[(twice + 1)->shard]);
}

Status Checkpoint::CheckIndex(std::string_view index_json, const std::vector<Raw>& raws) const {
  ASSIGN_OR_RETURN(const Json index, ParseObject({kIndexFile, std::as_bytes(std::span(index_json))}, kIndexLimits));
  ASSIGN_OR_RETURN(const Json* map, WeightMap(index));
  for (const auto& [name, shard] : map->members()) {
    const auto at = std::lower_bound(raws.begin(), raws.end(), name,
                                     [](const Raw& raw, const std::string& wanted) { return raw.tensor->name < wanted; });
    if (at == raws.end() || at->tensor->name != name) {
      return Error(Code::kDataLoss, "{} 'weight_map': tensor '{}' is to be in {}, but is not", kIndexFile, ShownText(name),
                   shard.as_string());
    }
    if (shard_names_[at->shard] != shard.as_string()) {
      return Error(Code::kDataLoss, "{} 'weight_map': tensor '{}' is to be in {}, but is in {}", kIndexFile, name,
                   shard.as_string(), shard_names_[at->shard]);
    }
  }
  // Both sides have each name once, so equal numbers mean equal names.
  if (map->members().size() == raws.size()) return {};
  std::vector<std::string_view> named;
  for (const auto& [name, shard] : map->members()) named.push_back(name);
  std::sort(named.begin(), named.end());
  for (const Raw& raw : raws) {
    if (std::binary_search(named.begin(), named.end(), std::string_view(raw.tensor->name))) continue;
    return Within(raw, Error(Code::kDataLoss, "not in the 'weight_map' of {}", kIndexFile));
  }
  return {};
}

Status Checkpoint::Within(const Raw& raw, const Status& status) const {
  return status.Within(fmt::format("{}: tensor '{}' {}", shard_names_[raw.shard], raw.tensor->name, raw.tensor->ShapeText()));
}

Status Checkpoint::TakeTensors(const std::vector<Raw>& raws) {
  std::vector<bool> joined(raws.size());  // scales and biases that belong to codes
  const auto part = [&](std::string_view module, std::string_view suffix) -> const SafetensorsTensor* {
    const std::string name = fmt::format("{}.{}", module, suffix);
    const auto at = std::lower_bound(raws.begin(), raws.end(), name,
                                     [](const Raw& raw, const std::string& wanted) { return raw.tensor->name < wanted; });
    if (at == raws.end() || at->tensor->name != name) return nullptr;
    joined[static_cast<size_t>(at - raws.begin())] = true;
    return at->tensor;
  };
  const auto take = [this](const Raw& raw, const Result<TensorView>& view) -> Status {
    if (!view.ok()) return Within(raw, view.status());
    tensors_.push_back(*view);
    shard_of_.push_back(raw.shard);
    return {};
  };
  const auto is_codes = [](const Raw& raw) {
    return raw.tensor->type == SafetensorsType::kU32 && raw.tensor->name.ends_with(kWeightSuffix);
  };
  std::vector<std::optional<Result<TensorView>>> quantised(raws.size());
  for (size_t i = 0; i < raws.size(); ++i) {
    if (!is_codes(raws[i])) continue;
    std::string_view module = raws[i].tensor->name;
    module.remove_suffix(kWeightSuffix.size());
    const Triple triple{raws[i].tensor, part(module, "scales"), part(module, "biases")};
    quantised[i].emplace(QuantisedView(triple, module, quantisation_));
  }
  for (size_t i = 0; i < raws.size(); ++i) {
    if (joined[i] || IsIgnored(raws[i].tensor->name)) continue;
    RETURN_IF_ERROR(take(raws[i], quantised[i] ? *quantised[i] : FloatView(*raws[i].tensor)));
  }
  return {};
}

const TensorView* Checkpoint::FindTensor(std::string_view name) const {
  const auto at = std::lower_bound(tensors_.begin(), tensors_.end(), name,
                                   [](const TensorView& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

std::string_view Checkpoint::ShardOf(const TensorView& tensor) const {
  return shard_names_[shard_of_[static_cast<size_t>(&tensor - tensors_.data())]];
}

NamedFile Checkpoint::File(std::string_view name) const {
  const auto at = std::find_if(files_.begin(), files_.end(), [&](const NamedFile& file) { return file.name == name; });
  return at == files_.end() ? NamedFile{} : *at;
}

}  // namespace millrace::model
