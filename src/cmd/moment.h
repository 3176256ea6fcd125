// Moments as options and variables name them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace CLI {
class App;
}

namespace millrace::cmd {

// Unix seconds ("1700000000"), or ISO 8601 in UTC ("2023-11-14", "2023-11-14T22:13:20Z"), from year 1 to 9999.
Result<int64_t> ParseMoment(std::string_view text);

// --now, and with it MILLRACE_NOW: freezes the clock of chat templates in this process, as soon as the option is read.
void AddNowOption(CLI::App& command);

}  // namespace millrace::cmd
