#include "cmd/config_file.h"

#include <fmt/core.h>

#include <toml++/toml.h>
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iterator>
#include <sstream>

namespace millrace::cmd {

namespace {

std::string ScalarText(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  std::ostringstream out;
  node.visit([&out](const auto& value) {
    if constexpr (toml::is_value<decltype(value)>) out << std::boolalpha << value.get();
  });
  return out.str();
}

constexpr size_t kMaxBytes = size_t{1} << 20;

// toml++ behind CLI11's interface: strict TOML, with line numbers in errors.
class TomlConfig : public CLI::Config {
 public:
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return {}; }

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::string text(kMaxBytes + 1, '\0');
    input.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(input.gcount()));
    if (text.size() > kMaxBytes) throw CLI::FileError("configuration file: larger than 1 MiB", CLI::ExitCodes::FileError);
    const toml::parse_result parsed = toml::parse(text);
    if (!parsed) {
      throw CLI::FileError(
          fmt::format("configuration file, line {}: {}", parsed.error().source().begin.line, parsed.error().description()),
          CLI::ExitCodes::FileError);
    }
    std::vector<CLI::ConfigItem> out;
    Flatten(parsed.table(), {}, out);
    return out;
  }

 private:
  // Tables nest as deep as commands do; toml++ itself bounds the nesting of what it reads.
  static void Flatten(const toml::table& table, const std::vector<std::string>& parents, std::vector<CLI::ConfigItem>& out) {
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      if (const toml::table* inner = node.as_table()) {
        std::vector<std::string> path = parents;
        path.push_back(name);
        Flatten(*inner, path, out);
        continue;
      }
      CLI::ConfigItem item;
      item.parents = parents;
      item.name = name;
      if (const toml::array* list = node.as_array()) {
        for (const toml::node& element : *list) item.inputs.push_back(ScalarText(element));
      } else {
        item.inputs.push_back(ScalarText(node));
      }
      out.push_back(std::move(item));
    }
  }
};

}  // namespace

std::string DefaultConfigPath() {
  if (const char* folder = std::getenv("XDG_CONFIG_HOME"); folder != nullptr && *folder != '\0') {
    return std::string(folder) + "/millrace/millrace.toml";
  }
  const char* home = std::getenv("HOME");
  return home != nullptr ? std::string(home) + "/.config/millrace/millrace.toml" : std::string();
}

std::shared_ptr<CLI::Config> MakeTomlConfig() { return std::make_shared<TomlConfig>(); }

}  // namespace millrace::cmd
