// Reading typed fields out of request JSON: every failure names the parameter, what was expected and what was found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/error.h"
#include "base/json.h"

namespace millrace::api {

// Nothing when all is well.
using Complaint = std::optional<ApiError>;

// "string 'abc'", "number 2.5", "array", …; long strings are cut.
std::string Describe(const Json& value);
// 400: "'param': expected …, found …".
ApiError Mismatch(std::string_view param, std::string_view expected, const Json& found);

Complaint ReadBool(const Json& value, std::string_view param, bool& out);
Complaint ReadString(const Json& value, std::string_view param, std::string& out);
// Bounds are inclusive. Integers may be written as 5 or 5.0, not as "5".
Complaint ReadInteger(const Json& value, std::string_view param, int64_t low, int64_t high, int64_t& out);
Complaint ReadNumber(const Json& value, std::string_view param, double low, double high, double& out);

// The body as an object, or the 400 that says why it is none.
Parsed<Json> ParseBody(std::string_view body);

}  // namespace millrace::api
