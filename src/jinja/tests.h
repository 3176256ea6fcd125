// The tests behind "is": defined, string, odd, in and so on, with the answers of jinja2.
#pragma once

#include <string_view>

#include "jinja/runtime.h"

namespace millrace::jinja {

struct TestEntry {
  std::string_view name;
  Result<bool> (*run)(const Value& value, const CallArguments& arguments, Runtime& runtime);
};

// Null when there is no test of that name.
const TestEntry* FindTest(std::string_view name);

}  // namespace millrace::jinja
