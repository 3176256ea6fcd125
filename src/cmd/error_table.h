// The errors that a conversion makes, as people and programs read them: a row for each layer, a column for each matrix of a layer.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/convert_tensor.h"

namespace millrace::cmd {

class ErrorTable {
 public:
  void Add(const model::PlannedTensor& tensor, const model::ConversionError& error);

  // Relative rms errors in percent, and how many tensors were copied, converted, requantised.
  void Print() const;
  Json Tensors() const;  // [{name, change, error}]
  Json Counts() const;   // {change: tensors}
  double total() const { return all_.relative_rms(); }

 private:
  std::map<int, std::map<std::string, model::ConversionError>> layers_;  // -1: of no layer
  std::vector<std::string> columns_;                                     // in order of appearance
  std::map<std::string, uint64_t> counts_;
  Json::Array tensors_;
  model::ConversionError all_;
};

}  // namespace millrace::cmd
