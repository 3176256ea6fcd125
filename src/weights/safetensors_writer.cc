#include "weights/safetensors_writer.h"

#include <utility>

#include "base/json.h"

namespace millrace::weights {

namespace {
constexpr size_t kAlignment = 8;  // of the data; readers that map a file like it
}  // namespace

uint64_t SafetensorsEntry::bytes() const {
  uint64_t bytes = SafetensorsTypeBytes(type);
  for (const uint64_t dim : shape) bytes *= dim;
  return bytes;
}

std::string SafetensorsHeader(std::span<const SafetensorsEntry> entries, const std::map<std::string, std::string>& metadata) {
  Json root(Json::Object{});
  if (!metadata.empty()) {
    Json texts(Json::Object{});
    for (const auto& [key, value] : metadata) texts.members().emplace_back(key, Json(value));
    root.members().emplace_back("__metadata__", std::move(texts));
  }
  uint64_t at = 0;
  for (const SafetensorsEntry& entry : entries) {
    Json::Array shape;
    for (const uint64_t dim : entry.shape) shape.emplace_back(dim);
    const uint64_t end = at + entry.bytes();
    root.members().emplace_back(entry.name, Json(Json::Object{{"dtype", Json(SafetensorsTypeName(entry.type))},
                                                              {"shape", Json(std::move(shape))},
                                                              {"data_offsets", Json(Json::Array{Json(at), Json(end)})}}));
    at = end;
  }
  std::string json = root.Write();
  json.append((kAlignment - json.size() % kAlignment) % kAlignment, ' ');
  std::string header;
  for (uint32_t i = 0; i < 8; ++i) header += static_cast<char>(json.size() >> (8 * i) & 0xFF);
  return header + json;
}

Result<SafetensorsWriter> SafetensorsWriter::Start(std::vector<SafetensorsEntry> entries,
                                                   const std::map<std::string, std::string>& metadata, ByteSink sink) {
  const std::string header = SafetensorsHeader(entries, metadata);
  RETURN_IF_ERROR(sink(std::as_bytes(std::span(header))));
  SafetensorsWriter writer(std::move(entries), std::move(sink));
  writer.SkipEmpty();
  return writer;
}

void SafetensorsWriter::SkipEmpty() {
  while (current_ < entries_.size() && entries_[current_].bytes() == written_) {
    ++current_;
    written_ = 0;
  }
}

Status SafetensorsWriter::Append(std::span<const std::byte> data) {
  if (data.empty()) return {};
  if (current_ == entries_.size()) return Error(Code::kInternal, "{} bytes behind the last tensor", data.size());
  const SafetensorsEntry& entry = entries_[current_];
  if (data.size() > entry.bytes() - written_) {
    return Error(Code::kInternal, "tensor '{}': {} bytes at {}, which pass its end at {}", entry.name, data.size(), written_,
                 entry.bytes());
  }
  RETURN_IF_ERROR(sink_(data));
  written_ += data.size();
  SkipEmpty();
  return {};
}

Status SafetensorsWriter::Finish() const {
  if (current_ == entries_.size()) return {};
  return Error(Code::kInternal, "tensor '{}': {} bytes written, expected {}", entries_[current_].name, written_,
               entries_[current_].bytes());
}

}  // namespace millrace::weights
