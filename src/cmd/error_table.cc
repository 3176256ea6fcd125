#include "cmd/error_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace millrace::cmd {

namespace {

constexpr std::string_view kLayers = ".layers.";
constexpr int kNoLayer = -1;

int LayerOf(std::string_view name) {
  const size_t at = name.find(kLayers);
  return at == std::string_view::npos ? kNoLayer : std::atoi(std::string(name.substr(at + kLayers.size(), 6)).c_str());
}

// "model.layers.3.mlp.up_proj.weight" -> "up_proj"
std::string ModuleOf(std::string_view name) {
  name.remove_suffix(name.size() - std::min(name.rfind('.'), name.size()));
  return std::string(name.substr(name.rfind('.') + 1));
}

void Merge(const model::ConversionError& error, model::ConversionError& sum) {
  sum.error_squares += error.error_squares;
  sum.source_squares += error.source_squares;
}

}  // namespace

void ErrorTable::Add(const model::PlannedTensor& tensor, const model::ConversionError& error) {
  ++counts_[std::string(ChangeName(tensor.change))];
  tensors_.push_back(Json(Json::Object{{"name", Json(tensor.name)},
                                       {"change", Json(ChangeName(tensor.change))},
                                       {"bits", Json(uint64_t{tensor.affine() ? tensor.format.bits : model::kFloatBits})},
                                       {"error", Json(error.relative_rms())}}));
  if (tensor.vector) return;
  const std::string module = ModuleOf(tensor.name);
  const int layer = LayerOf(tensor.name);
  if (layer != kNoLayer && std::find(columns_.begin(), columns_.end(), module) == columns_.end()) columns_.push_back(module);
  Merge(error, layers_[layer][module]);
  Merge(error, all_);
}

void ErrorTable::Print() const {
  std::printf("relative rms error, %%\nlayer");
  for (const std::string& column : columns_) std::printf(" %10s", column.c_str());
  std::printf("\n");
  for (const auto& [layer, modules] : layers_) {
    if (layer == kNoLayer) continue;
    std::printf("%5d", layer);
    for (const std::string& column : columns_) {
      const auto found = modules.find(column);
      std::printf(" %10s", found == modules.end() ? "" : fmt::format("{:.4f}", 100 * found->second.relative_rms()).c_str());
    }
    std::printf("\n");
  }
  if (const auto ends = layers_.find(kNoLayer); ends != layers_.end()) {
    for (const auto& [module, error] : ends->second) std::printf("%s %.4f\n", module.c_str(), 100 * error.relative_rms());
  }
  std::printf("all matrices %.4f\n", 100 * total());
  std::string counts;
  for (const auto& [change, count] : counts_) counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", count, change);
  std::printf("tensors       %s\n", counts.c_str());
}

Json ErrorTable::Tensors() const { return Json(tensors_); }

Json ErrorTable::Counts() const {
  Json out(Json::Object{});
  for (const auto& [change, count] : counts_) out.Set(change, Json(count));
  return out;
}

}  // namespace millrace::cmd
