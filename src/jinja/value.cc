#include "jinja/value.h"

#include <algorithm>
#include <bit>

#include "base/utf8.h"
#include "jinja/ops.h"
#include "jinja/text.h"

namespace millrace::jinja {

Status Budget::Charge(uint64_t steps) {
  if (steps > limits_.max_steps - std::min(steps_, limits_.max_steps)) {
    steps_ = limits_.max_steps;
    return Error(Code::kResourceExhausted, "the template needs more than {} steps", limits_.max_steps);
  }
  steps_ += steps;
  if (live_bytes_ > limits_.max_value_bytes) {
    return Error(Code::kResourceExhausted, "the values of the template need more than {} bytes", limits_.max_value_bytes);
  }
  return Status();
}

Status Budget::Fits(uint64_t bytes) const {
  if (live_bytes_ > limits_.max_value_bytes || bytes > limits_.max_value_bytes - live_bytes_) {
    return Error(Code::kResourceExhausted, "a value of {} bytes would exceed the {} bytes of all values", bytes,
                 limits_.max_value_bytes);
  }
  return Status();
}

Status Budget::Allow(uint64_t bytes) {
  RETURN_IF_ERROR(Fits(bytes));
  return ChargeBytes(bytes);
}

Status Budget::AllowDepth(uint32_t depth) {
  if (depth <= limits_.max_depth) return Status();
  return Error(Code::kResourceExhausted, "values are nested more than {} levels deep", limits_.max_depth);
}

Text::Text(Budget* owner, std::string text, bool is_markup)
    : Object(owner, sizeof(Text) + text.size(), 0), data(std::move(text)), length(CountCodePoints(data)), markup(is_markup) {}

List::List(Budget* owner, std::vector<Value> values, uint32_t levels)
    : Object(owner, sizeof(List) + values.size() * sizeof(Value), levels), items(std::move(values)) {}

Dict::Dict(Budget* owner, std::vector<Entry> sorted_entries, std::vector<uint32_t> hash_index, uint32_t levels)
    : Object(owner, sizeof(Dict) + sorted_entries.size() * sizeof(Entry) + hash_index.size() * sizeof(uint32_t), levels),
      entries(std::move(sorted_entries)),
      index(std::move(hash_index)) {}

Iterator::Iterator(Budget* owner, std::vector<Value> values, uint32_t levels)
    : Object(owner, sizeof(Iterator) + values.size() * sizeof(Value), levels), items(std::move(values)) {}

Cycler::Cycler(Budget* owner, std::vector<Value> values, uint32_t levels)
    : Object(owner, sizeof(Cycler) + values.size() * sizeof(Value), levels), items(std::move(values)) {}

Value Value::Bool(bool value) {
  Value out(Kind::kBool);
  out.integer_ = value ? 1 : 0;
  return out;
}

Value Value::Int(int64_t value) {
  Value out(Kind::kInt);
  out.integer_ = value;
  return out;
}

Value Value::BigInt(uint64_t value) {
  Value out(Kind::kBigInt);
  out.integer_ = static_cast<int64_t>(value);
  return out;
}

Value Value::Float(double value) {
  Value out(Kind::kFloat);
  out.float_ = value;
  return out;
}

Value Value::String(Budget* budget, std::string text) {
  return FromObject(Kind::kString, std::make_shared<Text>(budget, std::move(text), false));
}

Value Value::Markup(Budget* budget, std::string text) {
  return FromObject(Kind::kString, std::make_shared<Text>(budget, std::move(text), true));
}

Value Value::Undefined(Budget* budget, std::string reason) {
  return FromObject(Kind::kUndefined, std::make_shared<Text>(budget, std::move(reason), false));
}

Value Value::FromObject(Kind kind, std::shared_ptr<Object> object) {
  Value out(kind);
  out.object_ = std::move(object);
  return out;
}

Value Value::FromUnowned(Kind kind, Object* object) {
  return FromObject(kind, std::shared_ptr<Object>(std::shared_ptr<void>(), object));
}

double Value::ToDouble() const {
  if (kind_ == Kind::kFloat) return float_;
  return kind_ == Kind::kBigInt ? static_cast<double>(as_big()) : static_cast<double>(integer_);
}

const Text& Value::text() const { return As<Text>(); }
std::string_view Value::str() const { return As<Text>().data; }
const std::vector<Value>& Value::items() const { return As<List>().items; }
const Dict& Value::dict() const { return As<Dict>(); }
const Range& Value::range() const { return As<Range>(); }

std::string_view Value::undefined_reason() const {
  return object_ == nullptr ? std::string_view("the value is undefined") : std::string_view(As<Text>().data);
}

std::string_view Value::type_name() const {
  switch (kind_) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
    case Kind::kBigInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kView:
      return As<List>().view_name;
    case Kind::kRange:
      return "range";
    case Kind::kIterator:
      return "generator";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kMacro:
      return "Macro";
    case Kind::kFunction:
      return "function";
    case Kind::kMethod:
      return "method";
    case Kind::kCycler:
      return "Cycler";
    case Kind::kJoiner:
      return "Joiner";
  }
  return "object";
}

namespace {

constexpr size_t kSmallDict = 8;  // up to here a scan is as fast as a hash

// Slot of an equal key or of the first free place. `index` is never full.
template <typename Matches>
size_t ProbeSlot(const std::vector<uint32_t>& index, uint64_t hash, Matches matches) {
  const size_t mask = index.size() - 1;
  size_t slot = hash & mask;
  while (index[slot] != 0 && !matches(index[slot] - 1)) slot = (slot + 1) & mask;
  return slot;
}

// Position of the key of this hash among the entries, or entries.size().
Result<size_t> FindEntry(const std::vector<Dict::Entry>& entries, const std::vector<uint32_t>& index, const Value& key,
                         uint64_t hash, Budget* budget) {
  uint64_t probes = 0;
  Status failed;
  const auto matches = [&](size_t position) {
    ++probes;
    const Result<bool> equal = KeysEqual(entries[position].first, key, budget);
    if (!equal.ok()) failed = equal.status();
    return !equal.ok() || *equal;  // an error ends the search
  };
  size_t found = entries.size();
  if (index.empty()) {
    for (size_t i = 0; i < entries.size() && found == entries.size(); ++i) {
      if (matches(i)) found = i;
    }
  } else if (const size_t slot = ProbeSlot(index, hash, matches); index[slot] != 0) {
    found = index[slot] - 1;
  }
  RETURN_IF_ERROR(failed);
  if (budget != nullptr && probes > kSmallDict) RETURN_IF_ERROR(budget->Charge(probes));
  return found;
}

}  // namespace

Result<const Value*> Dict::Find(const Value& key, Budget& owner) const {
  ASSIGN_OR_RETURN(const uint64_t hash, HashOf(key, &owner));
  ASSIGN_OR_RETURN(const size_t position, FindEntry(entries, index, key, hash, &owner));
  return position == entries.size() ? static_cast<const Value*>(nullptr) : &entries[position].second;
}

Status DictBuilder::Set(Value key, Value value) {
  ASSIGN_OR_RETURN(const uint64_t hash, HashOf(key, budget_));
  ASSIGN_OR_RETURN(const size_t position, FindEntry(entries_, index_, key, hash, budget_));
  if (position < entries_.size()) {
    entries_[position].second = std::move(value);
    return Status();
  }
  entries_.emplace_back(std::move(key), std::move(value));
  hashes_.push_back(hash);
  if (entries_.size() > kSmallDict) Reindex();
  return Status();
}

Result<bool> DictBuilder::Add(Value key) {
  const size_t before = entries_.size();
  RETURN_IF_ERROR(Set(std::move(key), Value::None()));
  return entries_.size() > before;
}

// Adds the newest entry to the index; builds it anew when it would become more than half full.
void DictBuilder::Reindex() {
  const auto add = [&](size_t position) {
    const size_t slot = ProbeSlot(index_, hashes_[position], [](size_t) { return false; });
    index_[slot] = static_cast<uint32_t>(position + 1);
  };
  if (entries_.size() * 2 <= index_.size()) return add(entries_.size() - 1);
  index_.assign(std::bit_ceil(entries_.size() * 4), 0);
  for (size_t i = 0; i < entries_.size(); ++i) add(i);
}

Result<Value> DictBuilder::Take() {
  uint32_t depth = 0;
  for (const auto& [key, value] : entries_) depth = std::max({depth, key.depth(), value.depth()});
  if (budget_ != nullptr) {
    RETURN_IF_ERROR(budget_->AllowDepth(depth + 1));
    RETURN_IF_ERROR(budget_->Allow(entries_.size() * sizeof(Dict::Entry)));
  }
  return Value::FromObject(Kind::kDict, std::make_shared<Dict>(budget_, std::move(entries_), std::move(index_), depth + 1));
}

uint32_t DepthAbove(const std::vector<Value>& items) {
  uint32_t depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return depth + 1;
}

namespace {

template <typename T>
Result<Value> MakeSequence(Budget& budget, Kind kind, std::vector<Value> items) {
  const uint32_t depth = DepthAbove(items);
  RETURN_IF_ERROR(budget.AllowDepth(depth));
  RETURN_IF_ERROR(budget.Allow(items.size() * sizeof(Value)));
  return Value::FromObject(kind, std::make_shared<T>(&budget, std::move(items), depth));
}

}  // namespace

Result<Value> MakeList(Budget& budget, std::vector<Value> items) {
  return MakeSequence<List>(budget, Kind::kList, std::move(items));
}

Result<Value> MakeTuple(Budget& budget, std::vector<Value> items) {
  return MakeSequence<List>(budget, Kind::kTuple, std::move(items));
}

Result<Value> MakeIterator(Budget& budget, std::vector<Value> items) {
  return MakeSequence<Iterator>(budget, Kind::kIterator, std::move(items));
}

Result<Value> MakeView(Budget& budget, std::string_view name, std::vector<Value> items) {
  ASSIGN_OR_RETURN(const Value view, MakeSequence<List>(budget, Kind::kView, std::move(items)));
  view.As<List>().view_name = name;
  return view;
}

Result<Value> MakeMethod(Budget& budget, Value receiver, std::string_view name) {
  const uint32_t depth = receiver.depth() + 1;
  RETURN_IF_ERROR(budget.AllowDepth(depth));
  RETURN_IF_ERROR(budget.Charge(1));
  return Value::FromObject(Kind::kMethod, std::make_shared<Method>(&budget, std::move(receiver), std::string(name), depth));
}

namespace {

Result<Value> TextFromJson(const std::string& text, Budget& budget) {
  if (!Utf8IsValid(text)) return Error(Code::kInvalidArgument, "the context has a string that is not UTF-8");
  RETURN_IF_ERROR(budget.Allow(text.size() / 16));
  return Value::String(&budget, text);
}

// The recursion is bounded by `levels`, counted down from the depth limit.
Result<Value> Convert(const Json& json, Budget& budget, uint32_t levels) {
  if (json.is_null()) return Value::None();
  if (json.is_bool()) return Value::Bool(json.as_bool());
  if (json.is_integer()) {
    if (const Result<int64_t> small = json.as_int64(); small.ok()) return Value::Int(*small);
    ASSIGN_OR_RETURN(const uint64_t big, json.as_uint64());
    return Value::BigInt(big);
  }
  if (json.is_number()) return Value::Float(json.as_double());
  if (json.is_string()) return TextFromJson(json.as_string(), budget);
  if (levels == 0) return budget.AllowDepth(budget.limits().max_depth + 1);
  if (json.is_array()) {
    std::vector<Value> items;
    items.reserve(json.items().size());
    for (const Json& item : json.items()) {
      ASSIGN_OR_RETURN(Value value, Convert(item, budget, levels - 1));
      items.push_back(std::move(value));
    }
    return MakeList(budget, std::move(items));
  }
  DictBuilder builder(&budget);
  for (const auto& [key, item] : json.members()) {
    ASSIGN_OR_RETURN(Value name, TextFromJson(key, budget));
    ASSIGN_OR_RETURN(Value value, Convert(item, budget, levels - 1));
    RETURN_IF_ERROR(builder.Set(std::move(name), std::move(value)));
  }
  return builder.Take();
}

}  // namespace

Result<Value> FromJson(const Json& json, Budget& budget) { return Convert(json, budget, budget.limits().max_depth); }

}  // namespace millrace::jinja
