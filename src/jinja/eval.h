// One render: walks the program with a stack of scopes and writes the output. Made for a single use on a single thread.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "jinja/ast.h"
#include "jinja/runtime.h"

namespace millrace::jinja {

class Evaluator {
 public:
  Evaluator(const Program& program, int64_t now);

  Result<std::string> Run(const Json& context);

 private:
  friend class LoopState;

  enum class Flow : uint8_t { kNormal, kBreak, kContinue };

  // Variables of one block. `parent` is the scope around it in the source, which is below it on the stack but, in a macro, not
  // directly. Scopes come and go like a stack; the serial tells a macro whether the scope of its definition is still the same.
  struct Scope {
    size_t parent = 0;
    uint64_t serial = 0;
    std::vector<std::pair<NameId, Value>> bindings;
  };

  struct MacroObject final : Object {
    MacroObject(Budget* owner, const Stmt& stmt, size_t in_scope, uint64_t scope_serial)
        : Object(owner, sizeof(MacroObject), 0), statement(stmt), scope(in_scope), serial(scope_serial) {}
    const Stmt& statement;  // kMacro or kCall
    size_t scope;
    uint64_t serial;
  };

  // --- statements, eval.cc ---
  Status LoadContext(const Json& context);
  Result<Flow> Execute(const Block& block);
  Result<Flow> ExecuteStmt(const Stmt& stmt);
  Result<Flow> ExecuteIf(const Stmt& stmt);
  Result<Flow> ExecuteFor(const Stmt& stmt);
  // The loop over `source`, in the scope `outer`; `level` as in LoopState.
  Result<Flow> RunLoop(const Stmt& stmt, Value source, size_t outer, uint32_t level);
  // Block `index` in a scope of its own inside `outer`.
  Result<Flow> ExecuteScoped(const Stmt& stmt, size_t index, size_t outer);
  Result<Flow> ExecuteWith(const Stmt& stmt);
  // The output of a block in a scope of its own, through filters; nothing when the block ends by break or continue.
  Result<Flow> Capture(const Stmt& stmt, Value& out);
  Status ExecuteSet(const Stmt& stmt);
  Status DefineMacro(const Stmt& stmt);
  Status ExecuteCall(const Stmt& stmt);
  Status Assign(const Target& target, const Value& value);
  Status AssignAttribute(const Target& target, const Value& value);
  Status Write(const Value& value, Position position);
  Status WriteText(std::string_view text, Position position);

  // --- scopes ---
  void PushScope(size_t parent);
  // With the names that count as undefined until the block assigns them.
  Status PushScope(size_t parent, const std::vector<NameId>& hidden);
  void PopScope() { --scope_count_; }
  size_t Top() const { return scope_count_ - 1; }
  void Bind(NameId name, const Value& value);
  Result<Value> Lookup(NameId name);
  Value UndefinedName(NameId name);

  // --- expressions, eval_expr.cc ---
  Result<Value> Evaluate(const Expr& expr);
  Result<Value> EvaluateNode(const Expr& expr);
  Result<Value> EvaluateLogic(const Expr& expr);
  Result<Value> EvaluateCompare(const Expr& expr);
  Result<Value> EvaluateArithmetic(const Expr& expr);
  Result<Value> EvaluateConcat(const Expr& expr);
  Result<Value> EvaluateConditional(const Expr& expr);
  Result<Value> EvaluateDict(const Expr& expr);
  Result<Value> EvaluateSign(const Expr& expr);
  Result<std::vector<Value>> EvaluateAll(const std::vector<ExprPtr>& exprs);
  // `caller` goes to the last call of the chain.
  Result<Value> EvaluateChain(const Expr& expr, const Value* caller);
  Result<Value> ApplyPostfix(Value value, const Postfix& step, const Value* caller);
  Result<Value> ApplySlice(const Value& value, const Postfix& step);
  Result<CallArguments> EvaluateArguments(const Arguments& arguments);
  Status SpreadArguments(const Arguments& arguments, CallArguments& out);
  Result<Value> Call(const Value& callee, const CallArguments& arguments);
  Result<Value> CallMacro(const MacroObject& macro, const CallArguments& arguments);
  Status BindParameters(const MacroDefinition& macro, const CallArguments& arguments);
  Status BindExtras(const MacroDefinition& macro, const CallArguments& arguments, std::vector<bool>& used);

  // Adds the place to an error of an operation, once, and never to the template's own errors.
  Status Located(Position position, Status status);
  template <typename T>
  Result<T> Located(Position position, Result<T> result) {
    if (result.ok()) return result;
    return Located(position, result.status());
  }
  // Counts one level of recursion. The stack it costs is what bounds it.
  Status Enter(Position position);
  void Leave() { --depth_; }

  const Program& program_;
  Budget budget_;  // outlives every value below
  std::deque<std::unique_ptr<Namespace>> namespaces_;
  Runtime runtime_;
  std::vector<std::optional<Value>> context_;  // by NameId
  std::deque<Scope> scopes_;                   // the first scope_count_ are in use; a deque, so that references stay
  size_t scope_count_ = 0;
  uint64_t serials_ = 0;
  uint32_t depth_ = 0;
  bool located_ = false;
  std::string root_output_;
  std::string* output_ = &root_output_;
};

}  // namespace millrace::jinja
