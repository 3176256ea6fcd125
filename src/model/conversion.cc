#include "model/conversion.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include "base/half.h"
#include "weights/affine_blocks.h"

namespace millrace::model {

namespace {

using weights::SafetensorsEntry;
using weights::SafetensorsType;
using weights::TensorView;

constexpr std::string_view kWeight = "weight";

SafetensorsType TypeOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return SafetensorsType::kF32;
    case DType::kBF16:
      return SafetensorsType::kBF16;
    default:
      return SafetensorsType::kF16;
  }
}

// Whether every value of an f32 vector less `offset` is an f16 number.
bool FitsHalf(const TensorView& vector, float offset) {
  for (uint64_t i = 0; i < vector.cols; ++i) {
    float value;
    std::memcpy(&value, vector.data.data() + i * sizeof(value), sizeof(value));
    value -= offset;
    if (HalfToFloat(FloatToHalf(value)) != value) return false;
  }
  return true;
}

class Planner {
 public:
  Planner(const ModelFile& file, const ConversionTarget& target) : file_(file), config_(file.config()), target_(target) {}

  Result<ConversionPlan> Plan() {
    RETURN_IF_ERROR(CheckTarget());
    ASSIGN_OR_RETURN(const Metadata metadata, file_.source().ReadMetadata());
    ASSIGN_OR_RETURN(const Family* family, FindFamily(metadata));
    AddTensors(*family, false, 0);
    for (uint32_t layer = 0; layer < config_.layers.size(); ++layer) AddTensors(*family, true, layer);
    plan_.all_floats = target_.format.bits == kFloatBits;
    const auto affine = [](const PlannedTensor& tensor) { return tensor.affine(); };
    if (!plan_.all_floats && std::none_of(plan_.tensors.begin(), plan_.tensors.end(), affine)) {
      return Error(Code::kUnsupported, "no matrix has rows of a multiple of {} columns", target_.format.group);
    }
    CutShards();
    return std::move(plan_);
  }

 private:
  Status CheckTarget() const {
    const auto [group, bits] = target_.format;
    if (bits == kFloatBits) return {};
    if (bits != 4 && bits != 6 && bits != 8) return Error(Code::kInvalidArgument, "{} bits, expected 4, 6, 8 or 16", bits);
    if (group == 32 || group == 64 || group == 128) return {};
    return Error(Code::kInvalidArgument, "group of {}, expected 32, 64 or 128", group);
  }

  void AddTensors(const Family& family, bool per_layer, uint32_t layer) {
    std::set<Role> done;
    for (const bool wanted : {true, false}) {  // experts in the manner of the target first, else as the family has them
      for (const TensorName& name : family.tensors) {
        if (name.checkpoint.empty() || IsPerLayer(name.role) != per_layer || done.contains(name.role)) continue;
        if (!file_.Has(name.role, layer) || !IsUsed(name.role, config_, config_.layers[layer])) continue;
        if (name.role == Role::kHead && config_.tied_head) continue;
        if (IsExpert(name.role) && wanted && HoldsOneExpert(name.checkpoint) != (target_.format.bits == kFloatBits)) continue;
        for (uint32_t i = 0; i < name.fused; ++i) done.insert(RoleAfter(name.role, i));
        IsExpert(name.role) ? AddExperts(name, layer) : AddTensor(name, layer);
      }
    }
  }

  void AddTensor(const TensorName& name, uint32_t layer) {
    std::vector<TensorView> parts;
    parts.reserve(name.fused);
    for (uint32_t i = 0; i < name.fused; ++i) parts.push_back(file_.Tensor(RoleAfter(name.role, i), layer));
    PlannedTensor tensor = Start(name, NameOf(name.checkpoint, layer), std::move(parts));
    tensor.order = OrderOf(name.role, layer);
    if (tensor.vector) {
      PlanVector(name, tensor);
    } else {
      PlanMatrix(0, tensor);
    }
    plan_.tensors.push_back(std::move(tensor));
  }

  // Experts one by one, or all in one tensor of rank 3.
  void AddExperts(const TensorName& name, uint32_t layer) {
    const uint32_t count = config_.layers[layer].experts.count;
    std::vector<TensorView> experts;
    experts.reserve(count);
    for (uint32_t i = 0; i < count; ++i) experts.push_back(file_.Expert(name.role, layer, i));
    if (!HoldsOneExpert(name.checkpoint)) {
      PlannedTensor tensor = Start(name, NameOf(name.checkpoint, layer), std::move(experts));
      PlanMatrix(count, tensor);
      plan_.tensors.push_back(std::move(tensor));
      return;
    }
    for (uint32_t i = 0; i < count; ++i) {
      PlannedTensor tensor = Start(name, NameOf(name.checkpoint, layer, i), {experts[i]});
      PlanMatrix(0, tensor);
      plan_.tensors.push_back(std::move(tensor));
    }
  }

  static PlannedTensor Start(const TensorName& name, std::string text, std::vector<TensorView> parts) {
    PlannedTensor tensor;
    tensor.name = std::move(text);
    tensor.role = name.role;
    tensor.vector = IsVector(name.role);
    tensor.parts = std::move(parts);
    tensor.cols = tensor.parts.front().cols;
    tensor.rows = 0;
    for (const TensorView& part : tensor.parts) tensor.rows += part.rows;
    return tensor;
  }

  RowOrder OrderOf(Role role, uint32_t layer) const {
    const bool rotated = role == Role::kQuery || role == Role::kKey || role == Role::kQueryBias || role == Role::kKeyBias ||
                         role == Role::kQueryNorm || role == Role::kKeyNorm;
    if (!rotated || config_.ropes.empty()) return {};
    // Layers that do not rotate are stored in the order of those that do.
    const LayerConfig& shape = config_.layers[layer];
    const RopeConfig& rope = config_.ropes[shape.rope < 0 ? 0 : static_cast<size_t>(shape.rope)];
    if (rope.style != RopeStyle::kAdjacentPairs) return {};
    return {.head = shape.head_dim, .dims = rope.dims()};
  }

  // What the file leaves out of every element comes back in file_.Tensor's offset, so a checkpoint's own vectors are copied.
  void PlanVector(const TensorName& name, PlannedTensor& tensor) const {
    const TensorView& view = tensor.parts.front();
    tensor.offset = name.checkpoint_offset - view.offset;
    const bool same = tensor.offset == 0 && tensor.order.head == 0;
    tensor.dtype = view.dtype;
    if (view.dtype == DType::kF32) tensor.dtype = FitsHalf(view, tensor.offset) ? DType::kF16 : DType::kF32;
    tensor.change = same && tensor.dtype == view.dtype ? Change::kCopied : Change::kFloats;
    tensor.entries.push_back({tensor.name, TypeOf(tensor.dtype), {tensor.cols}});
  }

  void PlanMatrix(uint64_t experts, PlannedTensor& tensor) const {
    const TensorView& first = tensor.parts.front();
    const bool one_type = std::all_of(tensor.parts.begin(), tensor.parts.end(), [&](const TensorView& part) {
      return part.dtype == first.dtype && part.affine.group == first.affine.group && part.affine.dtype == first.affine.dtype;
    });
    const AffineFormat& format = target_.format;
    std::vector<uint64_t> shape = {tensor.rows, tensor.cols};
    if (experts != 0) shape = {experts, tensor.rows / experts, tensor.cols};
    // A router decides by small differences, and is small.
    if (format.bits == kFloatBits || tensor.role == Role::kRouter || tensor.cols % format.group != 0) {
      tensor.change = one_type && first.dtype == DType::kF16 ? Change::kCopied : Change::kFloats;
      tensor.entries.push_back({tensor.name, SafetensorsType::kF16, shape});
      return;
    }
    tensor.format = format;
    tensor.change = Change::kRequantised;
    if (one_type && first.dtype == format.dtype() && first.affine.group == format.group) {
      tensor.change = Change::kCopied;
      tensor.dtype = first.affine.dtype;
    } else if (format.group == weights::kAffineBlock &&
               std::all_of(tensor.parts.begin(), tensor.parts.end(), [&](const auto& part) {
                 const uint32_t bits = weights::AffineBitsOfBlocks(part.dtype);
                 return bits != 0 && bits <= format.bits;
               })) {
      tensor.change = Change::kConverted;
    }
    std::string base = tensor.name.substr(0, tensor.name.size() - kWeight.size());
    shape.back() = tensor.cols * format.bits / 32;
    tensor.entries.push_back({tensor.name, SafetensorsType::kU32, shape});
    shape.back() = tensor.cols / format.group;
    for (const char* part : {"scales", "biases"}) tensor.entries.push_back({base + part, TypeOf(tensor.dtype), shape});
  }

  void CutShards() {
    std::vector<std::pair<size_t, size_t>> ranges = {{0, 0}};
    uint64_t size = 0;
    uint64_t total = 0;
    for (size_t i = 0; i < plan_.tensors.size(); ++i) {
      const uint64_t bytes = plan_.tensors[i].bytes();
      if (ranges.back().second > ranges.back().first && size + bytes > target_.shard_bytes) {
        ranges.emplace_back(i, i);
        size = 0;
      }
      ranges.back().second = i + 1;
      size += bytes;
      total += bytes;
    }
    Json map(Json::Object{});
    for (size_t shard = 0; shard < ranges.size(); ++shard) {
      PlannedShard out;
      out.name = ranges.size() == 1 ? std::string(kSingleShard)
                                    : fmt::format("model-{:05}-of-{:05}{}", shard + 1, ranges.size(), kShardSuffix);
      std::tie(out.begin, out.end) = ranges[shard];
      for (size_t i = out.begin; i < out.end; ++i) {
        for (const SafetensorsEntry& entry : plan_.tensors[i].entries) {
          out.entries.push_back(entry);
          map.members().emplace_back(entry.name, Json(out.name));
        }
      }
      plan_.shards.push_back(std::move(out));
    }
    if (ranges.size() == 1) return;
    plan_.index =
        Json(Json::Object{{"metadata", Json(Json::Object{{"total_size", Json(total)}})}, {"weight_map", std::move(map)}})
            .WriteIndented();
  }

  const ModelFile& file_;
  const ModelConfig& config_;
  const ConversionTarget& target_;
  ConversionPlan plan_;
};

}  // namespace

std::string_view ChangeName(Change change) {
  switch (change) {
    case Change::kCopied:
      return "copied";
    case Change::kConverted:
      return "converted";
    case Change::kRequantised:
      return "requantised";
    case Change::kFloats:
      break;
  }
  return "floats";
}

uint64_t PlannedTensor::bytes() const {
  uint64_t sum = 0;
  for (const SafetensorsEntry& entry : entries) sum += entry.bytes();
  return sum;
}

uint64_t ConversionPlan::elements() const {
  uint64_t sum = 0;
  for (const PlannedTensor& tensor : tensors) sum += tensor.rows * tensor.cols;
  return sum;
}

uint64_t ConversionPlan::bytes() const {
  uint64_t sum = index.size();
  for (const PlannedShard& shard : shards) {
    sum += weights::SafetensorsHeader(shard.entries, {}).size();
    for (const SafetensorsEntry& entry : shard.entries) sum += entry.bytes();
  }
  return sum;
}

Result<ConversionPlan> PlanConversion(const ModelFile& file, const ConversionTarget& target) {
  return Planner(file, target).Plan();
}

}  // namespace millrace::model
