#include "jinja/scopes.h"

#include <unordered_set>

namespace millrace::jinja {
namespace {

// The names that one block, and what is written directly in it, refers to. Blocks with variables of their own have frames of their
// own, which are looked at when this one is complete. Recursion follows the nesting of the source, which the parser has bounded.
class Frame {
 public:
  Frame(const Frame* parent, std::vector<NameId>& hidden) : parent_(parent), hidden_(hidden) {}

  void Parameter(NameId name) { known_.insert(name); }

  void Parameters(const Target& target) {
    if (target.kind == Target::Kind::kName) Parameter(target.name);
    for (const Target& item : target.items) Parameters(item);
  }

  void Load(NameId name) {
    if (!Knows(name)) known_.insert(name);
  }

  void Loads(const Expr& expr) {
    if (expr.kind == ExprKind::kName) Load(expr.name);
    for (const ExprPtr& operand : expr.operands) Loads(*operand);
    for (const Postfix& step : expr.chain) Loads(step);
  }

  void Loads(const Postfix& step) {
    for (const ExprPtr* expr : {&step.first, &step.second, &step.third, &step.arguments.star, &step.arguments.double_star}) {
      if (*expr) Loads(**expr);
    }
    for (const ExprPtr& expr : step.arguments.positional) Loads(*expr);
    for (const auto& named : step.arguments.named) Loads(*named.second);
  }

  // The statements in the order of the source; `in_branch` inside of an if.
  void Collect(Block& block, bool in_branch) {
    for (Stmt& stmt : block) Collect(stmt, in_branch);
  }

  // Afterwards: the blocks inside.
  void Descend(Block& block) {
    for (Stmt& stmt : block) {
      if (stmt.kind == StmtKind::kIf) {
        for (const auto& branch : stmt.blocks) Descend(*branch);
      } else {
        stmt.hidden.resize(stmt.blocks.size());
        for (size_t i = 0; i < stmt.blocks.size(); ++i) Inner(stmt, i);
      }
    }
  }

 private:
  bool Knows(NameId name) const {
    for (const Frame* frame = this; frame != nullptr; frame = frame->parent_) {
      if (frame->known_.contains(name)) return true;
    }
    return false;
  }

  void Store(NameId name, bool in_branch) {
    if (known_.contains(name)) return;
    if (!in_branch && !Knows(name)) hidden_.push_back(name);
    known_.insert(name);
  }

  void Stores(const Target& target, bool in_branch) {
    if (target.kind == Target::Kind::kName) Store(target.name, in_branch);
    if (target.kind == Target::Kind::kAttribute) Load(target.name);
    for (const Target& item : target.items) Stores(item, in_branch);
  }

  void Collect(Stmt& stmt, bool in_branch) {
    switch (stmt.kind) {
      case StmtKind::kIf:
        for (size_t i = 0; i < stmt.blocks.size(); ++i) {
          if (i < stmt.exprs.size()) Loads(*stmt.exprs[i]);
          Collect(*stmt.blocks[i], true);
        }
        return;
      case StmtKind::kFor:
        Loads(*stmt.exprs.front());
        return;  // the condition belongs to the loop
      case StmtKind::kSetBlock:
      case StmtKind::kMacro:
        break;
      default:
        for (const ExprPtr& expr : stmt.exprs) Loads(*expr);
        for (const Postfix& filter : stmt.filters) Loads(filter);
        break;
    }
    const bool assigns = stmt.kind == StmtKind::kSet || stmt.kind == StmtKind::kSetBlock || stmt.kind == StmtKind::kMacro;
    for (const Target& target : stmt.targets) {
      if (assigns) Stores(target, in_branch);
    }
  }

  // Block `i` of a statement, as a frame inside this one.
  void Inner(Stmt& stmt, size_t i) const {
    Frame inner(this, stmt.hidden[i]);
    if ((stmt.kind == StmtKind::kFor && i == 0) || stmt.kind == StmtKind::kWith) {
      for (const Target& target : stmt.targets) inner.Parameters(target);
    }
    if (stmt.kind == StmtKind::kFor && i == 0) inner.Parameter(kLoopName);
    if (stmt.macro) {
      for (const NameId name : stmt.macro->parameters) inner.Parameter(name);
      if (stmt.macro->takes_caller) inner.Parameter(kCallerName);
      if (stmt.macro->takes_kwargs) inner.Parameter(kKwargsName);
      if (stmt.macro->takes_varargs) inner.Parameter(kVarargsName);
      for (const ExprPtr& value : stmt.macro->defaults) inner.Loads(*value);
    }
    inner.Collect(*stmt.blocks[i], false);
    inner.Descend(*stmt.blocks[i]);
  }

  const Frame* parent_;
  std::vector<NameId>& hidden_;
  std::unordered_set<NameId> known_;
};

}  // namespace

void MarkHiddenNames(Program& program) {
  Frame root(nullptr, program.hidden);
  root.Collect(program.body, false);
  root.Descend(program.body);
}

}  // namespace millrace::jinja
