#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <optional>
#include <thread>

#include "base/utf8.h"
#include "cmd/build_id.h"
#include "cmd/chat_client.h"
#include "cmd/commands.h"
#include "cmd/engine_choice.h"
#include "cmd/exit_code.h"
#include "cmd/store.h"
#include "cmd/validators.h"
#include "os/child.h"
#include "os/random.h"
#include "os/signals.h"
#include "os/terminal.h"

namespace millrace::cmd {

namespace {

constexpr const char* kDefaultServer = "http://127.0.0.1:11440";

struct Options {
  std::string model;
  std::string prompt;
  std::string system;
  std::string server;
  std::string key;
  ChatOptions chat;
  std::string engine = "auto";
  uint32_t threads = 0;
  uint32_t context = 0;
  uint32_t quantise = 0;
  bool stats = false;
  bool asked = false;  // a prompt was given, be it empty
};

// A running server: one that we found, or one of our own that ends with us.
struct Server {
  HttpClient client;
  Child own;
};

bool SameBuildServes(const HttpClient& client, const std::string& alias) {
  const auto version = client.Get("/version", 500);
  if (!version.ok() || version->status != 200) return false;
  const auto json = Json::Parse(version->body);
  const Json* build = json.ok() ? json->Find("build") : nullptr;
  if (build == nullptr || !build->is_string() || build->as_string() != BuildId()) return false;
  const auto model = client.Get("/v1/models/" + alias, 500);
  return model.ok() && model->status == 200;
}

// Everything until the end of the stream, or a failure when the child ends first.
Result<std::string> ReadAddress(int fd, Child& child) {
  std::string text;
  char buffer[256];
  ssize_t got;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) {
    text.append(buffer, static_cast<size_t>(got));
    if (text.back() == '\n') return text.substr(0, text.size() - 1);
  }
  const auto status = child.ReapWithin(std::chrono::seconds(5));
  return Error(status && !status->signalled ? CodeForExit(status->value) : Code::kUnavailable,
               "the server did not start ({}); its reason stands above", status ? status->ToString() : "no exit status");
}

Result<Server> StartOwn(const Options& options) {
  ASSIGN_OR_RETURN(const std::string program, OwnExecutable());
  int ends[2];
  if (pipe(ends) != 0) return Error(Code::kUnavailable, "no pipe for the server's address");
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  SpawnOptions spawn;
  spawn.executable = program;
  spawn.argv = {
      program,       "serve",  options.model, "--host", "127.0.0.1", "--port", "0", "--ready-fd", fmt::format("{}", kInheritedFd),
      "--log-level", "warning"};
  // Only what was asked for here: the rest comes from the environment and the configuration file, as for any server. Keys may be set
  // there that we do not know, so it gets one that we do, and nobody else is served by what belongs to this chat.
  const std::string key = fmt::format("{:016x}{:016x}", RandomU64(), RandomU64());
  spawn.argv.insert(spawn.argv.end(), {"--api-key", "run=" + key});
  if (options.engine != "auto") spawn.argv.insert(spawn.argv.end(), {"--engine", options.engine});
  if (options.threads != 0) spawn.argv.insert(spawn.argv.end(), {"--threads", fmt::format("{}", options.threads)});
  if (options.context != 0) spawn.argv.insert(spawn.argv.end(), {"--context", fmt::format("{}", options.context)});
  if (options.quantise != 0) spawn.argv.insert(spawn.argv.end(), {"--quantize", fmt::format("{}", options.quantise)});
  spawn.inherited_fd = write_end.get();
  ASSIGN_OR_RETURN(Child child, Child::Spawn(spawn));
  write_end.Reset();
  ASSIGN_OR_RETURN(const std::string url, ReadAddress(read_end.get(), child));
  std::fprintf(stderr, "started a server of its own at %s\n", url.c_str());
  return Server{HttpClient(url, key), std::move(child)};
}

// A running server is asked by alias only: it may have another file under the name that a path would give.
Result<Server> FindOrStart(const Options& options, const std::string& alias) {
  if (!options.server.empty()) return Server{HttpClient(options.server, options.key), {}};
  HttpClient found(kDefaultServer, options.key);
  if (options.model == alias && options.engine == "auto" && SameBuildServes(found, alias)) {
    std::fprintf(stderr, "using the server at %s\n", kDefaultServer);
    return Server{std::move(found), {}};
  }
  return StartOwn(options);
}

// roof_gb_s of a model in a reply of /health; 0 where it is not known yet, nothing where it never will be.
std::optional<double> RoofIn(const Json& health, const std::string& alias) {
  const Json* models = health.Find("models");
  if (models == nullptr || !models->is_array()) return 0;
  for (const Json& model : models->items()) {
    const Json* id = model.Find("id");
    const Json* engine = model.Find("engine");
    const Json* roof = model.Find("roof_gb_s");
    if (id == nullptr || *id != Json(alias)) continue;
    if (engine != nullptr && *engine != Json("cpu")) return std::nullopt;  // only that engine measures with its own threads
    if (roof != nullptr && roof->is_number()) return roof->as_double();
  }
  return 0;
}

// The roof is measured while the server idles; right after a start it may take a moment.
double WaitForRoof(const HttpClient& client, const std::string& alias) {
  for (int i = 0; i < 50; ++i) {
    const auto reply = client.Get("/health", 500);
    const auto json = reply.ok() ? Json::Parse(reply->body) : Result<Json>(reply.status());
    const std::optional<double> roof = json.ok() ? RoofIn(*json, alias) : 0;
    if (!roof || *roof > 0) return roof.value_or(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return 0;
}

// A terminal or a file may hold anything; a model is asked in UTF-8, and what was meant is not guessed.
Status CheckUtf8(std::string_view what, std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = Utf8SequenceLength(text.substr(at));
    if (length == 0) return Error(Code::kInvalidArgument, "{} is not UTF-8: byte {} fits nowhere", what, at + 1);
    at += length;
  }
  return {};
}

class Conversation {
 public:
  Conversation(Server server, const Options& options, SignalQueue signals)
      : server_(std::move(server)), options_(options), signals_(std::move(signals)) {
    Restart();
  }

  // Asks, prints the answer as it comes, keeps both in the history.
  Status Ask(std::string prompt, ChatAnswer* out) {
    RETURN_IF_ERROR(CheckUtf8("the prompt", prompt));
    messages_.push_back(Message("user", std::move(prompt)));
    int unwritten = 0;  // errno of the first failure to write
    const auto print = [&unwritten](std::string_view text) {
      if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) unwritten = errno;
    };
    const auto stop = [this, &unwritten] { return unwritten != 0 || signals_.Next().has_value(); };
    auto answer = AskChat(server_.client, options_.chat, messages_, print, stop);
    if (unwritten != 0) return Error(Code::kInternal, "standard output could not be written: {}", std::strerror(unwritten));
    if (!answer.ok()) {
      messages_.pop_back();
      return answer.status();
    }
    std::fputs("\n", stdout);
    std::fflush(stdout);  // the figures go to another stream
    if (answer->interrupted && answer->text.empty()) {
      messages_.pop_back();  // a question that was taken back
    } else {
      messages_.push_back(Message("assistant", answer->text));
    }
    if (options_.stats && !answer->interrupted) {
      const double roof = WaitForRoof(server_.client, options_.chat.model);
      std::fprintf(stderr, "%s\n", FiguresLine(*answer, roof).c_str());
    }
    *out = *std::move(answer);
    return {};
  }

  int Interactive() {
    std::fprintf(stderr, "%s\nCtrl-C stops an answer, Ctrl-D or /bye ends, /clear forgets the conversation.\n",
                 Describe().c_str());
    while (true) {
      std::fputs("> ", stderr);
      const auto line = ReadLine();
      if (!line || *line == "/bye") break;
      if (*line == "/clear") {
        Restart();
      } else if (!line->empty()) {
        ChatAnswer answer;
        const Status status = Ask(*line, &answer);
        if (!status.ok()) std::fprintf(stderr, "millrace: %s\n", status.message().c_str());
      }
    }
    std::fputs("\n", stderr);
    return kExitOk;
  }

 private:
  static Json Message(const char* role, std::string text) {
    return Json(Json::Object{{"role", Json(role)}, {"content", Json(std::move(text))}});
  }

  void Restart() {
    messages_.clear();
    if (!options_.system.empty()) messages_.push_back(Message("system", options_.system));
  }

  std::string Describe() const {
    std::string text = options_.chat.model;
    if (options_.chat.temperature) text += fmt::format(", temperature {}", *options_.chat.temperature);
    if (options_.chat.top_p) text += fmt::format(", top-p {}", *options_.chat.top_p);
    return text;
  }

  // Nothing at the end of input. Ctrl-C at the prompt drops the line and says how to leave.
  std::optional<std::string> ReadLine() {
    while (true) {
      if (const size_t end = input_.find('\n'); end != std::string::npos) {
        std::string line = input_.substr(0, end);
        input_.erase(0, end + 1);
        return line;
      }
      pollfd fds[2] = {{STDIN_FILENO, POLLIN, 0}, {signals_.fd(), POLLIN, 0}};
      if (poll(fds, 2, -1) < 0) continue;
      if (signals_.Next()) std::fputs("\n(Ctrl-D or /bye ends)\n> ", stderr);
      if (fds[0].revents == 0) continue;
      char buffer[4096];
      const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
      if (got <= 0) return std::nullopt;
      input_.append(buffer, static_cast<size_t>(got));
    }
  }

  Server server_;
  const Options& options_;
  SignalQueue signals_;
  Json::Array messages_;
  std::string input_;
};

std::string ReadAll(int fd) {
  std::string text;
  char buffer[65536];
  ssize_t got;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<size_t>(got));
  return text;
}

Result<int> RunChat(Options& options) {
  StoreEntry entry;
  if (options.server.empty()) {
    ASSIGN_OR_RETURN(entry, ResolveModel(options.model));
    if (!options.chat.temperature) options.chat.temperature = entry.temperature;
    if (!options.chat.top_p) options.chat.top_p = entry.top_p;
  } else {
    entry.alias = options.model;
  }
  options.chat.model = entry.alias;
  const bool piped = !options.asked && !IsTerminal(STDIN_FILENO);
  if (piped) options.prompt = ReadAll(STDIN_FILENO);
  if (piped && options.prompt.empty()) return Error(Code::kInvalidArgument, "nothing to ask: standard input is empty");
  if (options.asked && options.prompt.empty()) return Error(Code::kInvalidArgument, "nothing to ask: the prompt is empty");
  RETURN_IF_ERROR(CheckUtf8("the prompt", options.prompt));
  RETURN_IF_ERROR(CheckUtf8("the system message", options.system));
  ASSIGN_OR_RETURN(Server server, FindOrStart(options, entry.alias));
  ASSIGN_OR_RETURN(SignalQueue signals, SignalQueue::Capture({SIGINT}));
  Conversation conversation(std::move(server), options, std::move(signals));
  if (options.prompt.empty()) return conversation.Interactive();
  ChatAnswer answer;
  RETURN_IF_ERROR(conversation.Ask(options.prompt, &answer));
  return answer.interrupted ? kExitInterrupted : kExitOk;
}

}  // namespace

void AddRun(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("run", "Chat with a model in the terminal, or ask once (argument or standard input)");
  command->add_option("MODEL", options->model, "Name of the store, .gguf file or directory")->required();
  CLI::Option* prompt = command->add_option("PROMPT", options->prompt, "Ask this once and exit");
  command->add_option("--system", options->system, "System message");
  command->add_option("--temperature", options->chat.temperature, "0 = always the most likely token")
      ->check(CheckFinite)
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--top-p", options->chat.top_p, "Sample from the most likely tokens of this total probability")
      ->check(CheckFinite)
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--seed", options->chat.seed, "The same seed gives the same answer");
  command->add_option("--max-tokens", options->chat.max_tokens, "End the answer after so many tokens")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--server", options->server, "Use this server instead of looking for one or starting one")
      ->check(CheckServer);
  command->add_option("--api-key", options->key, "Bearer token for the server");
  AddEngineOption(*command, options->engine);
  command->add_option("--threads", options->threads, "Of a server that is started; 0 = one per physical core")
      ->check(CLI::Range(0, 256));
  command->add_option("--context", options->context, "Of a server that is started; 0 = what the model allows, at most 8192")
      ->check(CheckContext);
  command->add_option("--quantize", options->quantise, "Of a server that is started: quantise float weights to 4 or 8 bits")
      ->check(CLI::IsMember({4, 8}));
  command->add_flag("--stats", options->stats, "Print speed, bandwidth and time to first token after each answer");
  command->callback([options, prompt, &exit_code] {
    options->asked = prompt->count() > 0;
    const auto code = RunChat(*options);
    exit_code = code.ok() ? *code : Fail(code.status());
  });
}

}  // namespace millrace::cmd
