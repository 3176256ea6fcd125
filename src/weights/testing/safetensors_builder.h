// Writes safetensors images in memory: for tests, which need files that are right and files that lie in one chosen place.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace millrace::weights::testing {

// The 8 bytes of the length, the header, the buffer.
inline std::string SafetensorsImage(std::string_view header, std::string_view buffer) {
  const uint64_t size = header.size();
  std::string image(reinterpret_cast<const char*>(&size), sizeof(size));
  return image.append(header).append(buffer);
}

// Collects tensors, which lie in the order in which they were added.
class SafetensorsBuilder {
 public:
  SafetensorsBuilder& Add(std::string name, std::string type, std::vector<uint64_t> shape, std::string data) {
    Json::Array dims;
    for (const uint64_t dim : shape) dims.emplace_back(dim);
    const uint64_t begin = buffer_.size();
    buffer_ += data;
    header_.Set(std::move(name),
                Json(Json::Object{{"dtype", Json(std::move(type))},
                                  {"shape", Json(std::move(dims))},
                                  {"data_offsets", Json(Json::Array{Json(begin), Json(uint64_t{buffer_.size()})})}}));
    return *this;
  }
  // Of the right size, all bytes `fill`; `bytes` are those of one element.
  SafetensorsBuilder& Filled(std::string name, std::string type, std::vector<uint64_t> shape, uint64_t bytes, char fill = 0) {
    for (const uint64_t dim : shape) bytes *= dim;
    return Add(std::move(name), std::move(type), std::move(shape), std::string(bytes, fill));
  }

  std::string Build() const { return SafetensorsImage(header_.is_null() ? "{}" : header_.Write(), buffer_); }

 private:
  Json header_;
  std::string buffer_;
};

}  // namespace millrace::weights::testing
