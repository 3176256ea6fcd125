// Expressions and calls of the evaluator.
#include <algorithm>
#include <utility>

#include "jinja/checks.h"
#include "jinja/eval.h"
#include "jinja/filters.h"
#include "jinja/ops.h"
#include "jinja/tests.h"

namespace millrace::jinja {

Result<Value> Evaluator::Evaluate(const Expr& expr) {
  if (expr.kind == ExprKind::kLiteral) {
    RETURN_IF_ERROR(Located(expr.position, budget_.Charge(1)));
    return expr.literal;
  }
  RETURN_IF_ERROR(Enter(expr.position));
  Result<Value> value = EvaluateNode(expr);
  Leave();
  return value;
}

Result<Value> Evaluator::EvaluateNode(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kLiteral:
      return expr.literal;
    case ExprKind::kName:
      return Located(expr.position, Lookup(expr.name));
    case ExprKind::kList:
    case ExprKind::kTuple: {
      ASSIGN_OR_RETURN(std::vector<Value> items, EvaluateAll(expr.operands));
      return Located(expr.position,
                     expr.kind == ExprKind::kList ? MakeList(budget_, std::move(items)) : MakeTuple(budget_, std::move(items)));
    }
    case ExprKind::kDict:
      return EvaluateDict(expr);
    case ExprKind::kNot: {
      ASSIGN_OR_RETURN(const Value value, Evaluate(*expr.operands.front()));
      return Value::Bool(!Truthy(value));
    }
    case ExprKind::kMinus:
    case ExprKind::kPlus:
      return EvaluateSign(expr);
    case ExprKind::kAnd:
    case ExprKind::kOr:
      return EvaluateLogic(expr);
    case ExprKind::kCompare:
      return EvaluateCompare(expr);
    case ExprKind::kArithmetic:
      return EvaluateArithmetic(expr);
    case ExprKind::kConcat:
      return EvaluateConcat(expr);
    case ExprKind::kConditional:
      return EvaluateConditional(expr);
    case ExprKind::kPostfix:
      return EvaluateChain(expr, nullptr);
  }
  return Located(expr.position, Error(Code::kInternal, "unknown expression"));
}

Result<std::vector<Value>> Evaluator::EvaluateAll(const std::vector<ExprPtr>& exprs) {
  std::vector<Value> values;
  values.reserve(exprs.size());
  for (const ExprPtr& expr : exprs) {
    ASSIGN_OR_RETURN(Value value, Evaluate(*expr));
    values.push_back(std::move(value));
  }
  return values;
}

Result<Value> Evaluator::EvaluateDict(const Expr& expr) {
  DictBuilder builder(&budget_);
  for (size_t i = 0; i < expr.operands.size(); i += 2) {
    ASSIGN_OR_RETURN(Value key, Evaluate(*expr.operands[i]));
    ASSIGN_OR_RETURN(Value value, Evaluate(*expr.operands[i + 1]));
    RETURN_IF_ERROR(Located(expr.operands[i]->position, builder.Set(std::move(key), std::move(value))));
  }
  return Located(expr.position, builder.Take());
}

Result<Value> Evaluator::EvaluateSign(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value value, Evaluate(*expr.operands.front()));
  if (expr.kind == ExprKind::kMinus) return Located(expr.position, Negate(value));
  if (value.Is(Kind::kBool)) return Value::Int(value.as_int());
  if (!value.is_number()) return Located(expr.position, TypeError("'+'", value));
  return value;
}

// Answers the operand that decided, as Python does.
Result<Value> Evaluator::EvaluateLogic(const Expr& expr) {
  const bool stop_at = expr.kind == ExprKind::kOr;
  Value value;
  for (const ExprPtr& operand : expr.operands) {
    ASSIGN_OR_RETURN(value, Evaluate(*operand));
    if (Truthy(value) == stop_at) break;
  }
  return value;
}

Result<Value> Evaluator::EvaluateCompare(const Expr& expr) {
  ASSIGN_OR_RETURN(Value left, Evaluate(*expr.operands.front()));
  for (size_t i = 0; i < expr.comparisons.size(); ++i) {
    ASSIGN_OR_RETURN(Value right, Evaluate(*expr.operands[i + 1]));
    ASSIGN_OR_RETURN(const bool holds, Located(expr.position, Compare(expr.comparisons[i], left, right, budget_)));
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

Result<Value> Evaluator::EvaluateArithmetic(const Expr& expr) {
  ASSIGN_OR_RETURN(Value left, Evaluate(*expr.operands.front()));
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    ASSIGN_OR_RETURN(const Value right, Evaluate(*expr.operands[i + 1]));
    ASSIGN_OR_RETURN(left, Located(expr.position, Arithmetic(expr.operators[i], left, right, budget_)));
  }
  return left;
}

Result<Value> Evaluator::EvaluateConcat(const Expr& expr) {
  ASSIGN_OR_RETURN(const std::vector<Value> parts, EvaluateAll(expr.operands));
  std::string text;
  for (const Value& part : parts) RETURN_IF_ERROR(Located(expr.position, AppendStr(part, text, budget_)));
  return Value::String(&budget_, std::move(text));
}

Result<Value> Evaluator::EvaluateConditional(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value condition, Evaluate(*expr.operands[0]));
  if (Truthy(condition)) return Evaluate(*expr.operands[1]);
  if (expr.operands.size() > 2) return Evaluate(*expr.operands[2]);
  return Value::Undefined(&budget_, "the condition of an 'if' expression without 'else' was false");
}

// --- chains ---

Result<Value> Evaluator::EvaluateChain(const Expr& expr, const Value* caller) {
  ASSIGN_OR_RETURN(Value value, Evaluate(*expr.operands.front()));
  const size_t count = expr.chain.size();
  for (size_t i = 0; i < count; ++i) {
    const Postfix& step = expr.chain[i];
    RETURN_IF_ERROR(Located(step.position, budget_.Charge(1)));
    const bool is_method_call = step.kind == Postfix::Kind::kAttribute && i + 1 < count &&
                                expr.chain[i + 1].kind == Postfix::Kind::kCall && HasMethod(value, step.name);
    if (is_method_call && caller == nullptr) {
      // Without the detour over a method value.
      ASSIGN_OR_RETURN(const CallArguments arguments, EvaluateArguments(expr.chain[++i].arguments));
      ASSIGN_OR_RETURN(value, Located(step.position, CallMethod(value, step.name, arguments, runtime_)));
      continue;
    }
    ASSIGN_OR_RETURN(value, ApplyPostfix(std::move(value), step, i + 1 == count ? caller : nullptr));
  }
  return value;
}

Result<Value> Evaluator::ApplyPostfix(Value value, const Postfix& step, const Value* caller) {
  switch (step.kind) {
    case Postfix::Kind::kAttribute:
      return Located(step.position, GetAttribute(value, step.key, runtime_));
    case Postfix::Kind::kSubscript: {
      ASSIGN_OR_RETURN(const Value key, Evaluate(*step.first));
      return Located(step.position, GetItem(value, key, runtime_));
    }
    case Postfix::Kind::kSlice:
      return ApplySlice(value, step);
    default:
      break;
  }
  if ((step.kind == Postfix::Kind::kFilter && step.filter == nullptr) ||
      (step.kind == Postfix::Kind::kTest && step.test == nullptr)) {
    return Located(step.position, UnknownName(step));
  }
  ASSIGN_OR_RETURN(CallArguments arguments, EvaluateArguments(step.arguments));
  if (step.kind == Postfix::Kind::kFilter) return Located(step.position, step.filter->run(value, arguments, runtime_));
  if (step.kind == Postfix::Kind::kTest) {
    ASSIGN_OR_RETURN(const bool holds, Located(step.position, step.test->run(value, arguments, runtime_)));
    return Value::Bool(holds != step.negated);
  }
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  return Located(step.position, Call(value, arguments));
}

Result<Value> Evaluator::ApplySlice(const Value& value, const Postfix& step) {
  SliceBounds bounds{Value::None(), Value::None(), Value::None()};
  const std::pair<const ExprPtr*, Value*> parts[] = {
      {&step.first, &bounds.start}, {&step.second, &bounds.stop}, {&step.third, &bounds.step}};
  for (const auto& [expr, bound] : parts) {
    if (!*expr) continue;
    ASSIGN_OR_RETURN(*bound, Evaluate(**expr));
  }
  Result<Value> slice = Slice(value, bounds, budget_);
  if (!slice.ok() && step.constant && slice.status().code() == Code::kInvalidArgument) {
    // Jinja works constants out while compiling, and there some of these are undefined instead.
    return Located(step.position, Error(Code::kUnsupported, "{}, and this one is constant", slice.status().message()));
  }
  return Located(step.position, std::move(slice));
}

Result<CallArguments> Evaluator::EvaluateArguments(const Arguments& arguments) {
  CallArguments out;
  ASSIGN_OR_RETURN(out.positional, EvaluateAll(arguments.positional));
  for (const auto& [name, expr] : arguments.named) {
    ASSIGN_OR_RETURN(Value value, Evaluate(*expr));
    out.named.emplace_back(name, std::move(value));
  }
  if (arguments.star || arguments.double_star) RETURN_IF_ERROR(SpreadArguments(arguments, out));
  return out;
}

Status Evaluator::SpreadArguments(const Arguments& arguments, CallArguments& out) {
  if (arguments.star) {
    ASSIGN_OR_RETURN(const Value values, Evaluate(*arguments.star));
    ASSIGN_OR_RETURN(const std::vector<Value> items, Located(arguments.star->position, Iterate(values, budget_)));
    out.positional.insert(out.positional.end(), items.begin(), items.end());
  }
  if (!arguments.double_star) return Status();
  const Position position = arguments.double_star->position;
  ASSIGN_OR_RETURN(const Value values, Evaluate(*arguments.double_star));
  if (!values.Is(Kind::kDict)) return Located(position, TypeError("'**'", values));
  if (values.dict().entries.size() > 255) {
    return Located(position, Error(Code::kResourceExhausted, "'**': more than 255 named arguments"));
  }
  for (const auto& [key, value] : values.dict().entries) {
    if (!key.Is(Kind::kString)) return Located(position, Error(Code::kInvalidArgument, "'**': the keys must be strings"));
    const auto same = [&](const auto& named) { return named.first == key.str(); };
    if (std::any_of(out.named.begin(), out.named.end(), same)) {
      return Located(position, Error(Code::kInvalidArgument, "'**': an argument is given twice"));
    }
    out.named.emplace_back(key.str(), value);
  }
  return Status();
}

// --- calls ---

Result<Value> Evaluator::Call(const Value& callee, const CallArguments& arguments) {
  switch (callee.kind()) {
    case Kind::kUndefined:
      return UndefinedError(callee);
    case Kind::kMacro:
      return CallMacro(callee.As<MacroObject>(), arguments);
    case Kind::kFunction:
      return CallGlobal(callee.As<Method>().name, arguments, runtime_);
    case Kind::kMethod:
      return CallMethod(callee.As<Method>().receiver, callee.As<Method>().name, arguments, runtime_);
    case Kind::kLoop:
      return callee.As<LoopObject>().Recurse(arguments);
    case Kind::kJoiner: {
      auto& joiner = callee.As<Joiner>();
      return std::exchange(joiner.used, true) ? joiner.separator : Value::String(&budget_, "");
    }
    default:
      return Error(Code::kInvalidArgument, "a value of type {} cannot be called", callee.type_name());
  }
}

Result<Value> Evaluator::CallMacro(const MacroObject& macro, const CallArguments& arguments) {
  const MacroDefinition& definition = *macro.statement.macro;
  if (macro.scope >= scope_count_ || scopes_[macro.scope].serial != macro.serial) {
    return Error(Code::kUnsupported, "the macro '{}' is called outside of the block that defines it", definition.name);
  }
  RETURN_IF_ERROR(Enter(definition.position));
  std::string text;
  std::string* const outer = std::exchange(output_, &text);
  RETURN_IF_ERROR(PushScope(macro.scope, macro.statement.hidden.front()));
  RETURN_IF_ERROR(BindParameters(definition, arguments));
  RETURN_IF_ERROR(Execute(*macro.statement.blocks.front()));
  PopScope();
  output_ = outer;
  Leave();
  return Value::String(&budget_, std::move(text));
}

Status Evaluator::BindParameters(const MacroDefinition& macro, const CallArguments& arguments) {
  const size_t count = macro.parameters.size();
  std::vector<bool> used(arguments.named.size(), false);
  std::vector<const Value*> given(count, nullptr);
  for (size_t i = 0; i < count; ++i) {
    if (i < arguments.positional.size()) {
      given[i] = &arguments.positional[i];
      continue;
    }
    for (size_t n = 0; n < arguments.named.size(); ++n) {
      if (arguments.named[n].first != macro.parameter_names[i]) continue;
      given[i] = &arguments.named[n].second;
      used[n] = true;
    }
  }
  RETURN_IF_ERROR(BindExtras(macro, arguments, used));
  const size_t first_default = count - macro.defaults.size();
  for (size_t i = 0; i < count; ++i) {
    if (given[i] != nullptr) {
      Bind(macro.parameters[i], *given[i]);
    } else if (i >= first_default) {
      ASSIGN_OR_RETURN(const Value value, Evaluate(*macro.defaults[i - first_default]));
      Bind(macro.parameters[i], value);
    } else {
      const std::string reason = fmt::format("parameter '{}' was not provided", macro.parameter_names[i].substr(0, 100));
      Bind(macro.parameters[i], Value::Undefined(&budget_, reason));
    }
  }
  return Status();
}

// caller, kwargs and varargs, for macros that mention them; what nobody takes is an error.
Status Evaluator::BindExtras(const MacroDefinition& macro, const CallArguments& arguments, std::vector<bool>& used) {
  if (macro.takes_caller) {
    Value caller = Value::Undefined(&budget_, "No caller defined");
    for (size_t n = 0; n < used.size(); ++n) {
      if (used[n] || arguments.named[n].first != "caller") continue;
      if (!arguments.named[n].second.Is(Kind::kNone)) caller = arguments.named[n].second;
      used[n] = true;
    }
    Bind(kCallerName, caller);
  }
  DictBuilder rest(&budget_);
  for (size_t n = 0; n < used.size(); ++n) {
    if (used[n]) continue;
    const auto& [name, value] = arguments.named[n];
    if (!macro.takes_kwargs) {
      return Error(Code::kInvalidArgument, "the macro '{}' takes no argument '{}'", macro.name, name.substr(0, 100));
    }
    RETURN_IF_ERROR(rest.Set(Value::String(&budget_, name), value));
  }
  if (macro.takes_kwargs) {
    ASSIGN_OR_RETURN(const Value kwargs, rest.Take());
    Bind(kKwargsName, kwargs);
  }
  const size_t count = std::min(arguments.positional.size(), macro.parameters.size());
  if (macro.takes_varargs) {
    const std::vector<Value> extra(arguments.positional.begin() + static_cast<ptrdiff_t>(count), arguments.positional.end());
    ASSIGN_OR_RETURN(const Value varargs, MakeTuple(budget_, extra));
    Bind(kVarargsName, varargs);
  } else if (arguments.positional.size() > count) {
    return Error(Code::kInvalidArgument, "the macro '{}' takes not more than {} arguments", macro.name, macro.parameters.size());
  }
  return Status();
}

}  // namespace millrace::jinja
