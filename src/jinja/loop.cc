#include "jinja/loop.h"

#include "jinja/ops.h"

namespace millrace::jinja {

LoopState::LoopState(Evaluator& evaluator, const Stmt& stmt, Value source, size_t outer, uint32_t level)
    : LoopObject(&evaluator.budget_, sizeof(LoopState), source.depth() + 1),
      evaluator_(evaluator),
      stmt_(stmt),
      source_(std::move(source)),
      outer_(outer),
      outer_serial_(evaluator.scopes_[outer].serial),
      level_(level) {}

Status LoopState::Prepare() {
  // Lists are read in place, and iterators must be used up no further than the loop goes.
  if (source_.is_array() || source_.Is(Kind::kView) || source_.Is(Kind::kIterator)) return Status();
  ASSIGN_OR_RETURN(own_items_, Iterate(source_, *budget));
  bytes += own_items_.size() * sizeof(Value);
  budget->Grow(own_items_.size() * sizeof(Value));
  return Status();
}

std::optional<Value> LoopState::PullUnfiltered() {
  if (source_.Is(Kind::kIterator)) {
    auto& iterator = source_.As<Iterator>();
    return iterator.next < iterator.items.size() ? std::optional<Value>(iterator.items[iterator.next++]) : std::nullopt;
  }
  const bool in_place = source_.is_array() || source_.Is(Kind::kView);
  const std::vector<Value>& items = in_place ? source_.items() : own_items_;
  return position_ < items.size() ? std::optional<Value>(items[position_++]) : std::nullopt;
}

// The condition sees the loop's variables and what surrounds the loop, not `loop`.
Result<bool> LoopState::Satisfies(const Value& item) {
  if (ended_) return Error(Code::kUnsupported, "a loop that has ended cannot look further ahead");
  evaluator_.PushScope(outer_);
  const Status bound = evaluator_.Assign(stmt_.targets.front(), item);
  Result<Value> holds = bound.ok() ? evaluator_.Evaluate(*stmt_.exprs[1]) : Result<Value>(bound);
  evaluator_.PopScope();
  if (!holds.ok()) return holds.status();
  return Truthy(*holds);
}

// Behind a condition, Jinja hands out what the target took the item apart into: "for a, b in ['xy'] if a" walks over ('x', 'y').
Result<Value> LoopState::Repack(const Target& target, const Value& item) {
  if (target.kind != Target::Kind::kTuple) return item;
  ASSIGN_OR_RETURN(std::vector<Value> parts, Iterate(item, *budget));
  for (size_t i = 0; i < parts.size() && i < target.items.size(); ++i) {
    ASSIGN_OR_RETURN(parts[i], Repack(target.items[i], parts[i]));
  }
  return MakeTuple(*budget, std::move(parts));
}

Result<std::optional<Value>> LoopState::Pull() {
  while (auto item = PullUnfiltered()) {
    RETURN_IF_ERROR(budget->Charge(1));
    if (stmt_.exprs.size() < 2) return item;
    ASSIGN_OR_RETURN(const bool satisfies, Satisfies(*item));
    if (!satisfies) continue;
    ASSIGN_OR_RETURN(item, Repack(stmt_.targets.front(), *item));
    return item;
  }
  return std::optional<Value>();
}

Result<bool> LoopState::Next() {
  std::optional<Value> item;
  if (!ahead_.empty()) {
    item = std::move(ahead_.front());
    ahead_.pop_front();
  } else {
    ASSIGN_OR_RETURN(item, Pull());
  }
  if (!item) return false;
  ++index_;
  previous_ = std::exchange(current_, std::move(*item));
  return true;
}

Result<const Value*> LoopState::Peek() {
  if (ahead_.empty()) {
    ASSIGN_OR_RETURN(std::optional<Value> item, Pull());
    if (!item) return static_cast<const Value*>(nullptr);
    ahead_.push_back(std::move(*item));
  }
  return &ahead_.front();
}

Result<int64_t> LoopState::Count() {
  // Without a condition the length is known; with one, all items are pulled now, as Jinja does it.
  if (stmt_.exprs.size() < 2) {
    if (const auto length = Length(source_)) return *length;
  }
  while (true) {
    ASSIGN_OR_RETURN(std::optional<Value> item, Pull());
    if (!item) break;
    ahead_.push_back(std::move(*item));
  }
  return index_ + 1 + static_cast<int64_t>(ahead_.size());
}

Result<Value> LoopState::Attribute(std::string_view name) {
  if (name == "index") return Value::Int(index_ + 1);
  if (name == "index0") return Value::Int(index_);
  if (name == "first") return Value::Bool(index_ == 0);
  if (name == "depth") return Value::Int(int64_t{level_} + 1);
  if (name == "depth0") return Value::Int(level_);
  if (name == "last" || name == "nextitem") {
    ASSIGN_OR_RETURN(const Value* const next, Peek());
    if (name == "last") return Value::Bool(next == nullptr);
    return next != nullptr ? *next : Value::Undefined(budget, "there is no next item");
  }
  if (name == "previtem") return index_ == 0 ? Value::Undefined(budget, "there is no previous item") : previous_;
  if (name == "length" || name == "revindex" || name == "revindex0") {
    ASSIGN_OR_RETURN(const int64_t length, Count());
    return Value::Int(name == "length" ? length : name == "revindex" ? length - index_ : length - index_ - 1);
  }
  return Value();
}

Result<Value> LoopState::Recurse(const CallArguments& arguments) {
  if (!stmt_.recursive) return Error(Code::kInvalidArgument, "only a loop with the word 'recursive' can be called");
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("loop", arguments, {"iterable"}));
  ASSIGN_OR_RETURN(Value source, bound.Required(0));
  if (outer_ >= evaluator_.scope_count_ || evaluator_.scopes_[outer_].serial != outer_serial_) {
    return Error(Code::kUnsupported, "the loop is called outside of the block that it stands in");
  }
  RETURN_IF_ERROR(evaluator_.Enter(stmt_.position));
  std::string text;
  std::string* const output = std::exchange(evaluator_.output_, &text);
  RETURN_IF_ERROR(evaluator_.RunLoop(stmt_, std::move(source), outer_, level_ + 1));
  evaluator_.output_ = output;
  evaluator_.Leave();
  return Value::String(budget, std::move(text));
}

Result<Value> LoopState::Call(std::string_view method, const CallArguments& arguments) {
  if (!arguments.named.empty()) return Error(Code::kInvalidArgument, "loop.{} takes no named arguments", method);
  if (method == "cycle") {
    if (arguments.positional.empty()) return Error(Code::kInvalidArgument, "loop.cycle needs at least one value");
    return arguments.positional[static_cast<size_t>(index_) % arguments.positional.size()];
  }
  // changed(): whether the values differ from those of the last call.
  for (const Value& value : arguments.positional) {
    if (value.depth() >= depth) return Error(Code::kUnsupported, "loop.changed of a container is not supported");
  }
  bool same = changed_ && changed_->size() == arguments.positional.size();
  for (size_t i = 0; same && i < changed_->size(); ++i) {
    ASSIGN_OR_RETURN(same, Equal((*changed_)[i], arguments.positional[i], *budget));
  }
  changed_ = arguments.positional;
  return Value::Bool(!same);
}

}  // namespace millrace::jinja
