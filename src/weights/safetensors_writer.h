// Writes a safetensors file from front to back: the header first, so every size is known beforehand, then the data of one tensor after the
// other in pieces of any size. Nothing is held back, so a file may be larger than memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "weights/safetensors.h"

namespace millrace::weights {

struct SafetensorsEntry {
  std::string name;
  SafetensorsType type = SafetensorsType::kF32;
  std::vector<uint64_t> shape;  // outermost first

  uint64_t bytes() const;
};

// The length and the JSON that a file with these tensors begins with, in the order in which their data will follow; a multiple of 8 bytes.
std::string SafetensorsHeader(std::span<const SafetensorsEntry> entries, const std::map<std::string, std::string>& metadata);

// Takes the bytes of a file in order.
using ByteSink = std::function<Status(std::span<const std::byte>)>;

class SafetensorsWriter {
 public:
  // Gives the header to `sink`, whose failures every call hands on.
  static Result<SafetensorsWriter> Start(std::vector<SafetensorsEntry> entries,
                                         const std::map<std::string, std::string>& metadata, ByteSink sink);

  // The next bytes of the current tensor; the one after it is current when they complete it. kInternal past its end.
  Status Append(std::span<const std::byte> data);
  // kInternal unless the data of every tensor has come.
  Status Finish() const;

 private:
  SafetensorsWriter(std::vector<SafetensorsEntry> entries, ByteSink sink)
      : entries_(std::move(entries)), sink_(std::move(sink)) {}
  void SkipEmpty();

  std::vector<SafetensorsEntry> entries_;
  ByteSink sink_;
  size_t current_ = 0;
  uint64_t written_ = 0;  // of the current tensor
};

}  // namespace millrace::weights
