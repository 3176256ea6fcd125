#include "cmd/settings.h"

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "cmd/did_you_mean.h"

namespace millrace::cmd {

namespace {

constexpr const char* kPrefix = "MILLRACE_";
constexpr const char* kConfigVariable = "MILLRACE_CONFIG";

// "max-tokens" -> "MILLRACE_MAX_TOKENS"
std::string VariableName(const std::string& option) {
  std::string name = kPrefix;
  for (const char c : option) name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::string NonEmptyVariable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value != nullptr ? value : "";
}

using Variables = std::map<const CLI::Option*, std::string>;

// The parser's layout, and the variable behind each option that has one.
class HelpLayout : public CLI::Formatter {
 public:
  explicit HelpLayout(std::shared_ptr<const Variables> variables) : variables_(std::move(variables)) {}

  std::string make_option_opts(const CLI::Option* option) const override {
    const auto variable = variables_->find(option);
    const std::string text = CLI::Formatter::make_option_opts(option);
    return variable == variables_->end() ? text : text + " (Env:" + variable->second + ")";
  }

 private:
  std::shared_ptr<const Variables> variables_;
};

// Not a question about the program, and not what only the command line can tell.
bool IsSetting(const CLI::Option& option) {
  const std::string& name = option.get_single_name();
  return name != "help" && name != "version" && name != "config" && !option.get_required();
}

// Names that the file may use under a command; positional arguments too.
std::vector<std::string> KeysOf(const CLI::App& command) {
  std::vector<std::string> keys;
  for (const CLI::Option* option : command.get_options([](const CLI::Option* o) { return IsSetting(*o); })) {
    keys.push_back(option->get_single_name());
  }
  return keys;
}

CLI::Option* FindSetting(CLI::App& command, const std::string& key) {
  const auto found = command.get_options([&key](CLI::Option* o) { return IsSetting(*o) && o->get_single_name() == key; });
  return found.empty() ? nullptr : found.front();
}

CLI::App* FindCommand(CLI::App& parent, const std::string& name) {
  const auto found = parent.get_subcommands([&name](CLI::App* command) { return command->get_name() == name; });
  return found.empty() ? nullptr : found.front();
}

std::vector<std::string> CommandNames(CLI::App& parent) {
  std::vector<std::string> names;
  for (const CLI::App* command : parent.get_subcommands([](CLI::App*) { return true; })) names.push_back(command->get_name());
  return names;
}

std::string Joined(const std::vector<std::string>& parts, const char* between) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : between) + part;
  return text;
}

std::string ExpectedOf(const CLI::Option& option) {
  if (option.get_expected_min() == 0) return "true or false";
  const std::string type = option.get_type_name().substr(0, option.get_type_name().find(':'));
  if (type.starts_with("UINT")) return "a whole number of 0 or more";
  if (type.starts_with("INT")) return "a whole number";
  return type.starts_with("FLOAT") ? "a number" : "a text";
}

// The parser's own words name an option of the command line, which is not where the value stands.
std::string Complaint(const CLI::Option& option, const std::vector<std::string>& values, const CLI::ParseError& error) {
  if (values.size() != 1 && option.get_expected_max() == 1) return fmt::format("expected one value, found {}", values.size());
  const std::string what = error.what();
  const std::string name = option.get_name() + ": ";
  if (what.starts_with(name)) return what.substr(name.size());
  return fmt::format("expected {}, found '{}'", ExpectedOf(option), Joined(values, "', '"));
}

}  // namespace

Settings::Settings(CLI::App& app) : app_(app), variables_(std::make_shared<Variables>()) {
  app_.formatter(std::make_shared<HelpLayout>(variables_));
  path_ = DefaultConfigPath();
  config_ = app_.add_option("--config", "Configuration file (TOML)")->type_name("FILE")->default_str(path_);
  (*variables_)[config_] = kConfigVariable;
}

void Settings::Attach() {
  for (CLI::App* command : app_.get_subcommands([](CLI::App*) { return true; })) NameVariables(*command);
  app_.parse_complete_callback([this] { Apply(); });
}

void Settings::NameVariables(CLI::App& app) {
  app.fallthrough();  // --config may stand behind the command too
  // The input of one command does not belong into an environment that all commands share; the clock does.
  const bool own = app.get_name() == "template" || app.get_name() == "inspect";
  for (const CLI::Option* option : app.get_options([](CLI::Option* o) { return IsSetting(*o) && o->nonpositional(); })) {
    if (!own || option->get_single_name() == "now") (*variables_)[option] = VariableName(option->get_single_name());
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) NameVariables(*command);
}

std::vector<CLI::App*> Settings::Commands() const {
  std::vector<CLI::App*> commands;
  for (CLI::App* app = &app_; !app->get_subcommands().empty();) {
    app = app->get_subcommands().front();
    commands.push_back(app);
  }
  return commands;
}

std::vector<std::string> Settings::KnownOptions() const {
  std::vector<std::string> names = {"--help", "--config"};
  for (const CLI::App* command : Commands()) {
    for (const CLI::Option* option : command->get_options([](const CLI::Option* o) { return o->nonpositional(); })) {
      names.push_back("--" + option->get_single_name());
    }
  }
  return names;
}

void Settings::Apply() {
  WarnOfUnknownVariables();
  ReadFile();
  for (const ConfigEntry& entry : entries_) CheckEntry(entry);
  std::vector<std::string> table;
  for (CLI::App* command : Commands()) {
    table.push_back(command->get_name());
    ApplyTo(*command, table);
  }
}

// A warning and no more: the environment may belong to another version of this program.
void Settings::WarnOfUnknownVariables() const {
  // A program that starts a server shares its environment with it, and has warned already.
  for (const CLI::App* command : Commands()) {
    const CLI::Option* ready = command->get_option_no_throw("--ready-fd");
    if (ready != nullptr && ready->count() > 0) return;
  }
  std::vector<std::string> known = {"MILLRACE_HOME", "MILLRACE_LIBEXEC"};
  for (const auto& [option, name] : *variables_) known.push_back(name);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string name(*entry, std::strcspn(*entry, "="));
    if (!name.starts_with(kPrefix) || std::find(known.begin(), known.end(), name) != known.end()) continue;
    std::fprintf(stderr, "millrace: warning: the variable %s means nothing here%s\n", name.c_str(),
                 DidYouMean(name, known).c_str());
  }
}

void Settings::ReadFile() {
  std::string origin;
  if (config_->count() > 0) {
    path_ = config_->as<std::string>();
    origin = "--config: ";
    // A server that this command starts reads the same file; a pipe can be read only once.
    std::error_code ec;
    if (std::filesystem::is_regular_file(path_, ec)) setenv(kConfigVariable, path_.c_str(), 1);
  } else if (const std::string named = NonEmptyVariable(kConfigVariable); !named.empty()) {
    path_ = named;
    origin = std::string(kConfigVariable) + ": ";
  }
  if (path_.empty()) return;
  auto entries = ReadConfigFile(path_);
  if (entries.ok()) {
    entries_ = *std::move(entries);
  } else if (entries.status().code() != Code::kNotFound || !origin.empty()) {
    throw CLI::ConfigError(origin + entries.status().message());
  }
}

void Settings::CheckEntry(const ConfigEntry& entry) const {
  const std::string place = fmt::format("{}, line {}: ", path_, entry.line);
  if (entry.table.empty()) {
    for (CLI::App* command : app_.get_subcommands([](CLI::App*) { return true; })) {
      if (FindSetting(*command, entry.key) == nullptr) continue;
      throw CLI::ConfigError(fmt::format("{}'{}' stands in no table: put it under its command's, as in [{}]", place, entry.key,
                                         command->get_name()));
    }
    throw CLI::ConfigError(fmt::format("{}'{}' stands in no table and is no option of any command{}", place, entry.key,
                                       DidYouMean(entry.key, CommandNames(app_))));
  }
  CLI::App* command = &app_;
  for (const std::string& name : entry.table) {
    CLI::App* inner = FindCommand(*command, name);
    if (inner == nullptr) {
      throw CLI::ConfigError(fmt::format("{}[{}]: no command '{}'{}", place, Joined(entry.table, "."), name,
                                         DidYouMean(name, CommandNames(*command))));
    }
    command = inner;
  }
  if (entry.key.empty() || FindSetting(*command, entry.key) != nullptr) return;
  const std::string hint = DidYouMean(entry.key, KeysOf(*command));
  throw CLI::ConfigError(
      fmt::format("{}[{}] has no key '{}'{}", place, Joined(entry.table, "."), entry.key,
                  hint.empty() ? fmt::format("; millrace {} --help lists them", Joined(entry.table, " ")) : hint));
}

void Settings::ApplyTo(CLI::App& command, const std::vector<std::string>& table) {
  for (CLI::Option* option : command.get_options([](CLI::Option* o) { return IsSetting(*o) && o->count() == 0; })) {
    const auto variable = variables_->find(option);
    const std::string value = variable != variables_->end() ? NonEmptyVariable(variable->second) : "";
    if (!value.empty()) {
      Set(*option, {value}, variable->second, variable->second);
      continue;
    }
    for (const ConfigEntry& entry : entries_) {
      if (entry.table != table || entry.key != option->get_single_name() || entry.values.empty()) continue;
      const std::string origin = fmt::format("{}, line {}", path_, entry.line);
      Set(*option, entry.values, fmt::format("{}: [{}] {}", origin, Joined(table, "."), entry.key), origin);
    }
  }
}

void Settings::Set(CLI::Option& option, const std::vector<std::string>& values, const std::string& place,
                   const std::string& origin) {
  option.add_result(values);
  try {
    option.run_callback();
  } catch (const CLI::ParseError& error) {
    throw CLI::ConfigError(place + ": " + Complaint(option, values, error));
  }
  origins_.push_back(option.get_single_name() + " from " + origin);
}

std::string Settings::Origins() const { return Joined(origins_, "; "); }

}  // namespace millrace::cmd
