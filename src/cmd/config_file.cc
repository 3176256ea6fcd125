#include "cmd/config_file.h"

#include <fmt/core.h>

#include <toml++/toml.h>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

namespace millrace::cmd {

namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;

// A stream and no RegularFile: a shell's <(command) is a pipe.
Result<std::string> ReadText(const std::string& path) {
  std::error_code ec;
  if (std::filesystem::is_directory(path, ec)) return Error(Code::kInvalidArgument, "{}: expected a file, found a folder", path);
  errno = 0;
  std::ifstream input(path);
  if (!input) {
    return Error(errno == ENOENT ? Code::kNotFound : Code::kInvalidArgument, "{}: {}", path, std::strerror(errno));
  }
  std::string text(kMaxBytes + 1, '\0');
  input.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(input.gcount()));
  if (text.size() > kMaxBytes) return Error(Code::kInvalidArgument, "{}: larger than 1 MiB", path);
  return text;
}

std::optional<std::string> ScalarText(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return fmt::format("{}", number->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
  return std::nullopt;
}

class Flattener {
 public:
  explicit Flattener(const std::string& path) : path_(path) {}

  // Tables nest as deep as commands do; toml++ itself bounds the nesting of what it reads.
  Status Walk(const toml::table& table, const std::vector<std::string>& parents) {
    if (table.empty() && !parents.empty()) entries_.push_back({parents, {}, {}, table.source().begin.line});
    for (const auto& [key, node] : table) {
      if (const toml::table* inner = node.as_table()) {
        std::vector<std::string> names = parents;
        names.emplace_back(key.str());
        RETURN_IF_ERROR(Walk(*inner, names));
        continue;
      }
      ConfigEntry entry{parents, std::string(key.str()), {}, key.source().begin.line};
      RETURN_IF_ERROR(ReadValues(node, entry));
      entries_.push_back(std::move(entry));
    }
    return {};
  }

  std::vector<ConfigEntry> Take() {
    std::stable_sort(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) { return a.line < b.line; });
    return std::move(entries_);
  }

 private:
  Status ReadValues(const toml::node& node, ConfigEntry& entry) const {
    const auto read = [&](const toml::node& value) -> Status {
      const auto text = ScalarText(value);
      if (!text) {
        return Error(Code::kInvalidArgument, "{}, line {}: '{}': expected a string, a number, true, false or an array of those",
                     path_, entry.line, entry.key);
      }
      entry.values.push_back(*text);
      return {};
    };
    const toml::array* list = node.as_array();
    if (list == nullptr) return read(node);
    for (const toml::node& element : *list) RETURN_IF_ERROR(read(element));
    return {};
  }

  const std::string& path_;
  std::vector<ConfigEntry> entries_;
};

}  // namespace

std::string DefaultConfigPath() {
  if (const char* folder = std::getenv("XDG_CONFIG_HOME"); folder != nullptr && *folder != '\0') {
    return std::string(folder) + "/millrace/millrace.toml";
  }
  const char* home = std::getenv("HOME");
  return home != nullptr && *home != '\0' ? std::string(home) + "/.config/millrace/millrace.toml" : std::string();
}

Result<std::vector<ConfigEntry>> ReadConfigFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    return Error(Code::kInvalidArgument, "{}, line {}: {}", path, parsed.error().source().begin.line,
                 parsed.error().description());
  }
  Flattener flattener(path);
  RETURN_IF_ERROR(flattener.Walk(parsed.table(), {}));
  return flattener.Take();
}

}  // namespace millrace::cmd
