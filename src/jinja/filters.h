// The filters behind "|", with the results of jinja2. What jinja2 has and this table lacks is refused by the parser.
//
// Filters that are lazy in Python (map, select, unique and others) do their work at once here and return a one-shot iterator, which
// differs only in when an error appears.
#pragma once

#include <span>
#include <string_view>

#include "jinja/runtime.h"

namespace millrace::jinja {

struct FilterEntry {
  std::string_view name;
  Result<Value> (*run)(const Value& value, const CallArguments& arguments, Runtime& runtime);
};

// Null when there is no filter of that name.
const FilterEntry* FindFilter(std::string_view name);

std::span<const FilterEntry> TextFilters();      // filters_text.cc: text, numbers, tojson, default
std::span<const FilterEntry> SequenceFilters();  // filters_sequence.cc

}  // namespace millrace::jinja
