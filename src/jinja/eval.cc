#include "jinja/eval.h"

#include <algorithm>

#include "base/utf8.h"
#include "jinja/filters.h"
#include "jinja/loop.h"
#include "jinja/ops.h"

namespace millrace::jinja {

Evaluator::Evaluator(const Program& program, int64_t now)
    : program_(program), budget_(program.limits), runtime_{.budget = budget_, .now = now, .namespaces = namespaces_} {}

Result<std::string> Evaluator::Run(const Json& context) {
  RETURN_IF_ERROR(LoadContext(context));
  RETURN_IF_ERROR(PushScope(0, program_.hidden));
  RETURN_IF_ERROR(Execute(program_.body));
  return std::move(root_output_);
}

// Only what the template names is converted.
Status Evaluator::LoadContext(const Json& context) {
  if (!context.is_object()) return Error(Code::kInvalidArgument, "the context must be an object, found {}", context.type_name());
  context_.resize(program_.names.size());
  for (size_t i = 0; i < program_.names.size(); ++i) {
    const Json* const member = context.Find(program_.names[i]);
    if (member == nullptr) continue;
    Result<Value> value = FromJson(*member, budget_);
    if (!value.ok()) return value.status().Within(fmt::format("context member '{}'", program_.names[i].substr(0, 100)));
    context_[i] = std::move(*value);
  }
  return Status();
}

Status Evaluator::Located(Position position, Status status) {
  if (status.ok() || located_ || runtime_.raised) return status;
  located_ = true;
  return ErrorAt(status.code(), position, status.message());
}

Status Evaluator::Enter(Position position) {
  // Running code nests deeper than its source only through macros.
  const uint32_t limit = 4 * program_.limits.max_depth;
  if (++depth_ > limit) {
    return Located(position, Error(Code::kResourceExhausted, "running code is nested more than {} levels deep", limit));
  }
  return Located(position, budget_.Charge(1));
}

// --- scopes ---

void Evaluator::PushScope(size_t parent) {
  if (scope_count_ == scopes_.size()) scopes_.emplace_back();
  Scope& scope = scopes_[scope_count_++];
  scope.parent = parent;
  scope.serial = ++serials_;
  scope.bindings.clear();
}

Status Evaluator::PushScope(size_t parent, const std::vector<NameId>& hidden) {
  PushScope(parent);
  for (const NameId name : hidden) {
    // What neither context nor globals have is undefined anyway.
    if (context_[name] || IsGlobalFunction(program_.names[name])) scopes_[Top()].bindings.emplace_back(name, UndefinedName(name));
  }
  return budget_.Charge(hidden.size());
}

Value Evaluator::UndefinedName(NameId name) {
  return Value::Undefined(&budget_, fmt::format("'{}' is undefined", program_.names[name].substr(0, 100)));
}

void Evaluator::Bind(NameId name, const Value& value) {
  auto& bindings = scopes_[Top()].bindings;
  for (auto& [bound, old] : bindings) {
    if (bound == name) {
      old = value;
      return;
    }
  }
  bindings.emplace_back(name, value);
}

Result<Value> Evaluator::Lookup(NameId name) {
  for (size_t scope = Top();; scope = scopes_[scope].parent) {
    const auto& bindings = scopes_[scope].bindings;
    RETURN_IF_ERROR(budget_.Charge(bindings.size() / 16));
    for (const auto& [bound, value] : bindings) {
      if (bound == name) return value;
    }
    if (scope == 0) break;
  }
  if (context_[name]) return *context_[name];
  const std::string& text = program_.names[name];
  if (IsGlobalFunction(text)) {
    return Value::FromObject(Kind::kFunction, std::make_shared<Method>(&budget_, Value(), text, 1));
  }
  if (text == "lipsum" || text == "self") return Error(Code::kUnsupported, "'{}' is not supported", text);
  return UndefinedName(name);
}

// --- output ---

Status Evaluator::WriteText(std::string_view text, Position position) {
  if (text.size() > program_.limits.max_output_bytes - std::min(output_->size(), program_.limits.max_output_bytes)) {
    return Located(position, Error(Code::kResourceExhausted, "the output exceeds {} bytes", program_.limits.max_output_bytes));
  }
  RETURN_IF_ERROR(Located(position, budget_.ChargeBytes(text.size())));
  output_->append(text);
  return Status();
}

Status Evaluator::Write(const Value& value, Position position) {
  if (value.Is(Kind::kString)) return WriteText(value.str(), position);
  const Result<std::string> text = ToStr(value, budget_);
  if (!text.ok()) return Located(position, text.status());
  return WriteText(*text, position);
}

// --- statements ---

Result<Evaluator::Flow> Evaluator::Execute(const Block& block) {
  for (const Stmt& stmt : block) {
    RETURN_IF_ERROR(Enter(stmt.position));
    const Result<Flow> flow = ExecuteStmt(stmt);
    Leave();
    if (!flow.ok() || *flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Result<Evaluator::Flow> Evaluator::ExecuteStmt(const Stmt& stmt) {
  switch (stmt.kind) {
    case StmtKind::kText:
      RETURN_IF_ERROR(WriteText(stmt.text, stmt.position));
      break;
    case StmtKind::kOutput:
      for (const ExprPtr& expr : stmt.exprs) {
        ASSIGN_OR_RETURN(const Value value, Evaluate(*expr));
        RETURN_IF_ERROR(Write(value, expr->position));
      }
      break;
    case StmtKind::kIf:
      return ExecuteIf(stmt);
    case StmtKind::kFor:
      return ExecuteFor(stmt);
    case StmtKind::kSet:
      RETURN_IF_ERROR(ExecuteSet(stmt));
      break;
    case StmtKind::kSetBlock:
    case StmtKind::kFilterBlock: {
      Value text;
      ASSIGN_OR_RETURN(const Flow flow, Capture(stmt, text));
      if (flow != Flow::kNormal) return flow;
      RETURN_IF_ERROR(stmt.kind == StmtKind::kSetBlock ? Assign(stmt.targets.front(), text) : Write(text, stmt.position));
      break;
    }
    case StmtKind::kMacro:
      RETURN_IF_ERROR(DefineMacro(stmt));
      break;
    case StmtKind::kCall:
      RETURN_IF_ERROR(ExecuteCall(stmt));
      break;
    case StmtKind::kWith:
      return ExecuteWith(stmt);
    case StmtKind::kScope:
      return ExecuteScoped(stmt, 0, Top());
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

Result<Evaluator::Flow> Evaluator::ExecuteIf(const Stmt& stmt) {
  for (size_t i = 0; i < stmt.exprs.size(); ++i) {
    ASSIGN_OR_RETURN(const Value condition, Evaluate(*stmt.exprs[i]));
    if (Truthy(condition)) return Execute(*stmt.blocks[i]);
  }
  return stmt.blocks.size() > stmt.exprs.size() ? Execute(*stmt.blocks.back()) : Flow::kNormal;
}

Result<Evaluator::Flow> Evaluator::ExecuteScoped(const Stmt& stmt, size_t index, size_t outer) {
  RETURN_IF_ERROR(PushScope(outer, stmt.hidden[index]));
  const Result<Flow> flow = Execute(*stmt.blocks[index]);
  PopScope();
  return flow;
}

Result<Evaluator::Flow> Evaluator::ExecuteFor(const Stmt& stmt) {
  ASSIGN_OR_RETURN(Value source, Evaluate(*stmt.exprs.front()));
  return RunLoop(stmt, std::move(source), Top(), 0);
}

Result<Evaluator::Flow> Evaluator::RunLoop(const Stmt& stmt, Value source, size_t outer, uint32_t level) {
  const Position place = stmt.exprs.front()->position;
  RETURN_IF_ERROR(Located(place, budget_.AllowDepth(source.depth() + 1)));
  const auto loop = std::make_shared<LoopState>(*this, stmt, std::move(source), outer, level);
  RETURN_IF_ERROR(Located(place, loop->Prepare()));
  const Value handle = Value::FromObject(Kind::kLoop, loop);
  bool completed = false;  // an iteration
  while (true) {
    ASSIGN_OR_RETURN(const bool more, Located(place, loop->Next()));
    if (!more) break;
    RETURN_IF_ERROR(Located(place, budget_.Charge(1)));
    RETURN_IF_ERROR(PushScope(outer, stmt.hidden.front()));
    Bind(kLoopName, handle);
    RETURN_IF_ERROR(Assign(stmt.targets.front(), loop->current()));
    ASSIGN_OR_RETURN(const Flow flow, Execute(*stmt.blocks.front()));
    PopScope();
    if (flow == Flow::kBreak) break;
    completed |= flow == Flow::kNormal;
  }
  loop->End();
  // Jinja runs the else block unless an iteration came to its end; break leaves one early, and so does continue.
  if (!completed && stmt.blocks.size() > 1) return ExecuteScoped(stmt, 1, outer);
  return Flow::kNormal;
}

Result<Evaluator::Flow> Evaluator::ExecuteWith(const Stmt& stmt) {
  ASSIGN_OR_RETURN(const std::vector<Value> values, EvaluateAll(stmt.exprs));
  RETURN_IF_ERROR(PushScope(Top(), stmt.hidden.front()));
  for (size_t i = 0; i < values.size(); ++i) RETURN_IF_ERROR(Assign(stmt.targets[i], values[i]));
  const Result<Flow> flow = Execute(*stmt.blocks.front());
  PopScope();
  return flow;
}

Result<Evaluator::Flow> Evaluator::Capture(const Stmt& stmt, Value& out) {
  std::string text;
  std::string* const outer = std::exchange(output_, &text);
  RETURN_IF_ERROR(PushScope(Top(), stmt.hidden.front()));
  const Result<Flow> flow = Execute(*stmt.blocks.front());
  output_ = outer;
  if (!flow.ok() || *flow != Flow::kNormal) {
    PopScope();
    return flow;
  }
  out = Value::String(&budget_, std::move(text));
  for (const Postfix& filter : stmt.filters) {
    ASSIGN_OR_RETURN(out, ApplyPostfix(std::move(out), filter, nullptr));
  }
  PopScope();
  return Flow::kNormal;
}

Status Evaluator::ExecuteSet(const Stmt& stmt) {
  ASSIGN_OR_RETURN(const Value value, Evaluate(*stmt.exprs.front()));
  return Assign(stmt.targets.front(), value);
}

Status Evaluator::DefineMacro(const Stmt& stmt) {
  Bind(stmt.targets.front().name,
       Value::FromObject(Kind::kMacro, std::make_shared<MacroObject>(&budget_, stmt, Top(), scopes_[Top()].serial)));
  return Status();
}

Status Evaluator::ExecuteCall(const Stmt& stmt) {
  const Value caller =
      Value::FromObject(Kind::kMacro, std::make_shared<MacroObject>(&budget_, stmt, Top(), scopes_[Top()].serial));
  ASSIGN_OR_RETURN(const Value text, EvaluateChain(*stmt.exprs.front(), &caller));
  return Write(text, stmt.position);
}

// The recursion follows the nesting of the target in the source.
Status Evaluator::Assign(const Target& target, const Value& value) {
  if (target.kind == Target::Kind::kName) {
    Bind(target.name, value);
    return Located(target.position, budget_.Charge(1 + scopes_[Top()].bindings.size() / 16));
  }
  if (target.kind == Target::Kind::kAttribute) return AssignAttribute(target, value);
  const Result<std::vector<Value>> items = Iterate(value, budget_);
  if (!items.ok()) return Located(target.position, items.status());
  if (items->size() != target.items.size()) {
    return Located(target.position,
                   Error(Code::kInvalidArgument, "expected {} values to unpack, found {}", target.items.size(), items->size()));
  }
  for (size_t i = 0; i < items->size(); ++i) RETURN_IF_ERROR(Assign(target.items[i], (*items)[i]));
  return Status();
}

Status Evaluator::AssignAttribute(const Target& target, const Value& value) {
  const Result<Value> space = Lookup(target.name);
  if (!space.ok()) return Located(target.position, space.status());
  if (!space->Is(Kind::kNamespace)) {
    return Located(target.position,
                   Error(Code::kInvalidArgument, "cannot assign an attribute of a value of type {}, only of a namespace",
                         space->type_name()));
  }
  RETURN_IF_ERROR(Located(target.position, CheckMemberName(target.attribute)));
  auto& members = space->As<Namespace>().members;
  RETURN_IF_ERROR(Located(target.position, budget_.Charge(1 + members.size() / 16)));
  for (auto& [name, member] : members) {
    if (name == target.attribute) {
      member = value;
      return Status();
    }
  }
  members.emplace_back(target.attribute, value);
  return Status();
}

}  // namespace millrace::jinja
