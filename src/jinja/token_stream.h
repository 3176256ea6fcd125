// The parsers' view of the tokens: one ahead, with the usual questions, and the depth counter that bounds their recursion.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "jinja/ast.h"
#include "jinja/token.h"

namespace millrace::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  Position position() const { return current().position; }
  // The last token, kEnd, stays.
  void Skip() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }

  bool AtKind(TokenKind kind) const { return current().kind == kind; }
  bool AtOperator(std::string_view text) const { return current().kind == TokenKind::kOperator && current().text == text; }
  bool AtName(std::string_view text) const { return current().kind == TokenKind::kName && current().text == text; }
  bool TakeOperator(std::string_view text) { return AtOperator(text) && (Skip(), true); }
  bool TakeName(std::string_view text) { return AtName(text) && (Skip(), true); }

  Status Expected(std::string_view what) const {
    return ErrorAt(Code::kInvalidArgument, position(), fmt::format("expected {}, found {}", what, Describe(current())));
  }
  Status ExpectOperator(std::string_view text) { return TakeOperator(text) ? Status() : Expected(fmt::format("'{}'", text)); }
  Status ExpectKind(TokenKind kind, std::string_view what) {
    if (!AtKind(kind)) return Expected(what);
    Skip();
    return Status();
  }
  Result<std::string> ExpectName(std::string_view what) {
    if (!AtKind(TokenKind::kName)) return Expected(what);
    std::string name = current().text;
    Skip();
    return name;
  }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

// Names to ids.
class NameTable {
 public:
  NameTable() {
    for (const char* name : {"loop", "caller", "varargs", "kwargs"}) Intern(name);
  }
  NameId Intern(const std::string& name) {
    const auto [it, fresh] = ids_.try_emplace(name, static_cast<NameId>(names_.size()));
    if (fresh) names_.push_back(name);
    return it->second;
  }
  std::vector<std::string> Take() { return std::move(names_); }

 private:
  std::unordered_map<std::string, NameId> ids_;
  std::vector<std::string> names_;
};

// Counts one level of nesting for as long as it lives.
class Nesting {
 public:
  explicit Nesting(uint32_t& depth) : depth_(depth) { ++depth_; }
  ~Nesting() { --depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  uint32_t& depth_;
};

}  // namespace millrace::jinja
