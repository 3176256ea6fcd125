// Filters of lists, mappings and everything else with items.
#include <algorithm>

#include "jinja/filters.h"
#include "jinja/ops.h"
#include "jinja/tests.h"
#include "jinja/text.h"

namespace millrace::jinja {
namespace {

Result<Value> LengthFilter(const Value& value, const CallArguments& arguments, Runtime&) {
  RETURN_IF_ERROR(Bound::Of("length", arguments, {}));
  const auto length = Length(value);
  if (!length) return TypeError("length", value);
  return Value::Int(*length);
}

Result<Value> ListFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("list", arguments, {}));
  ASSIGN_OR_RETURN(std::vector<Value> items, Iterate(value, runtime.budget));
  return MakeList(runtime.budget, std::move(items));
}

Result<Value> FirstFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("first", arguments, {}));
  if (value.Is(Kind::kIterator)) {
    auto& iterator = value.As<Iterator>();
    if (iterator.next < iterator.items.size()) return iterator.items[iterator.next++];
  } else if (!IsIterable(value)) {
    return TypeError("first", value);
  } else if (value.Is(Kind::kDict)) {
    if (!value.dict().entries.empty()) return value.dict().entries.front().first;
  } else if (value.Is(Kind::kView)) {
    if (!value.items().empty()) return value.items().front();
  } else if (Length(value).value_or(0) > 0) {
    return Item(value, Value::Int(0), runtime.budget);
  }
  return Value::Undefined(&runtime.budget, "No first item, sequence was empty.");
}

Result<Value> LastFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("last", arguments, {}));
  if (!Length(value).has_value()) return TypeError("last", value);
  if (*Length(value) == 0) return Value::Undefined(&runtime.budget, "No last item, sequence was empty.");
  if (value.Is(Kind::kDict)) return value.dict().entries.back().first;
  if (value.Is(Kind::kView)) return value.items().back();
  return Item(value, Value::Int(-1), runtime.budget);
}

Result<Value> ReverseFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("reverse", arguments, {}));
  if (value.Is(Kind::kString)) {
    return Slice(value, {.start = Value::None(), .stop = Value::None(), .step = Value::Int(-1)}, runtime.budget);
  }
  ASSIGN_OR_RETURN(std::vector<Value> items, Iterate(value, runtime.budget));
  std::reverse(items.begin(), items.end());
  return value.Is(Kind::kIterator) ? MakeList(runtime.budget, std::move(items)) : MakeIterator(runtime.budget, std::move(items));
}

Result<Value> ItemsFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  RETURN_IF_ERROR(Bound::Of("items", arguments, {}));
  if (value.Is(Kind::kUndefined)) return MakeIterator(runtime.budget, {});
  if (!value.Is(Kind::kDict)) return TypeError("items", value);
  ASSIGN_OR_RETURN(const Value view, CallMethod(value, "items", {}, runtime));
  return MakeIterator(runtime.budget, view.items());
}

Result<Value> JoinFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("join", arguments, {"d", "attribute"}));
  std::string separator;
  if (bound[0] != nullptr) {
    ASSIGN_OR_RETURN(separator, ToStr(*bound[0], runtime.budget));
  }
  ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(value, runtime.budget));
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    RETURN_IF_ERROR(runtime.budget.ChargeBytes(separator.size()));
    RETURN_IF_ERROR(runtime.budget.Fits(out.size() + separator.size()));
    if (i > 0) out += separator;
    Value item = items[i];
    if (!bound.IsNoneOrMissing(1)) {
      ASSIGN_OR_RETURN(item, GetPath(item, *bound[1], runtime));
    }
    RETURN_IF_ERROR(AppendStr(item, out, runtime.budget));
  }
  return NewText(std::move(out), runtime);
}

// --- sorting and sets ---

Result<Value> IgnoreCase(Value value, bool case_sensitive, Runtime& runtime) {
  if (case_sensitive || !value.Is(Kind::kString)) return value;
  RETURN_IF_ERROR(runtime.budget.Charge(1 + value.str().size() / 8));
  return NewText(Lower(value.str()), runtime);
}

// The value, or the one at the end of a path, in lower case unless case counts.
Result<Value> KeyOf(const Value& item, const Value* attribute, bool case_sensitive, Runtime& runtime) {
  Value key = item;
  if (attribute != nullptr) {
    ASSIGN_OR_RETURN(key, GetPath(item, *attribute, runtime));
  }
  return IgnoreCase(std::move(key), case_sensitive, runtime);
}

// Several paths with commas between them make a list of keys; one makes a list of one, as in Jinja.
Result<Value> SortKey(const Value& item, const Value* attribute, bool case_sensitive, Runtime& runtime) {
  std::vector<Value> keys;
  if (attribute == nullptr || !attribute->Is(Kind::kString)) {
    ASSIGN_OR_RETURN(Value key, KeyOf(item, attribute, case_sensitive, runtime));
    keys.push_back(std::move(key));
    return MakeList(runtime.budget, std::move(keys));
  }
  for (const std::string_view path : Split(attribute->str(), ",", kNoLimit)) {
    const Value part = Value::String(&runtime.budget, std::string(path));
    ASSIGN_OR_RETURN(Value key, KeyOf(item, &part, case_sensitive, runtime));
    keys.push_back(std::move(key));
  }
  return MakeList(runtime.budget, std::move(keys));
}

Result<Value> SortedList(std::vector<std::pair<Value, Value>> keyed, bool descending, Runtime& runtime) {
  RETURN_IF_ERROR(Sort(keyed, descending, runtime.budget));
  std::vector<Value> items;
  items.reserve(keyed.size());
  for (auto& [key, item] : keyed) items.push_back(std::move(item));
  return MakeList(runtime.budget, std::move(items));
}

Result<Value> SortFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("sort", arguments, {"reverse", "case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const bool descending, bound.Flag(0));
  ASSIGN_OR_RETURN(const bool case_sensitive, bound.Flag(1));
  ASSIGN_OR_RETURN(std::vector<Value> items, Iterate(value, runtime.budget));
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : items) {
    ASSIGN_OR_RETURN(Value key, SortKey(item, bound.IsNoneOrMissing(2) ? nullptr : bound[2], case_sensitive, runtime));
    keyed.emplace_back(std::move(key), std::move(item));
  }
  return SortedList(std::move(keyed), descending, runtime);
}

Result<Value> DictSortFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("dictsort", arguments, {"case_sensitive", "by", "reverse"}));
  ASSIGN_OR_RETURN(const bool case_sensitive, bound.Flag(0));
  ASSIGN_OR_RETURN(const std::string_view by, bound.Text(1, "key"));
  ASSIGN_OR_RETURN(const bool descending, bound.Flag(2));
  if (by != "key" && by != "value") return Error(Code::kInvalidArgument, "dictsort: 'by' must be 'key' or 'value'");
  if (!value.Is(Kind::kDict)) return TypeError("dictsort", value);
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [name, member] : value.dict().entries) {
    ASSIGN_OR_RETURN(Value key, IgnoreCase(by == "key" ? name : member, case_sensitive, runtime));
    ASSIGN_OR_RETURN(Value pair, MakeTuple(runtime.budget, {name, member}));
    keyed.emplace_back(std::move(key), std::move(pair));
  }
  return SortedList(std::move(keyed), descending, runtime);
}

Result<Value> UniqueFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("unique", arguments, {"case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const bool case_sensitive, bound.Flag(0));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(value, runtime.budget));
  DictBuilder seen(&runtime.budget);
  std::vector<Value> out;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(Value key, KeyOf(item, bound.IsNoneOrMissing(1) ? nullptr : bound[1], case_sensitive, runtime));
    ASSIGN_OR_RETURN(const bool fresh, seen.Add(std::move(key)));
    if (fresh) out.push_back(item);
  }
  return MakeIterator(runtime.budget, std::move(out));
}

template <Comparison kBetter>
Result<Value> ExtremeFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("min or max", arguments, {"case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const bool case_sensitive, bound.Flag(0));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(value, runtime.budget));
  if (items.empty()) return Value::Undefined(&runtime.budget, "No aggregated item, sequence was empty.");
  size_t best = 0;
  Value best_key;
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(Value key, KeyOf(items[i], bound.IsNoneOrMissing(1) ? nullptr : bound[1], case_sensitive, runtime));
    if (i > 0) {
      ASSIGN_OR_RETURN(const bool better, Compare(kBetter, key, best_key, runtime.budget));
      if (!better) continue;
    }
    best = i;
    best_key = std::move(key);
  }
  return items[best];
}

Result<Value> SumFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("sum", arguments, {"attribute", "start"}));
  Value sum = bound[1] == nullptr ? Value::Int(0) : *bound[1];
  if (sum.Is(Kind::kString)) return Error(Code::kInvalidArgument, "sum: strings cannot be added up, use join");
  ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(value, runtime.budget));
  for (Value item : items) {
    if (!bound.IsNoneOrMissing(0)) {
      ASSIGN_OR_RETURN(item, GetPath(item, *bound[0], runtime));
    }
    ASSIGN_OR_RETURN(sum, Arithmetic(Operator::kAdd, sum, item, runtime.budget));
  }
  return sum;
}

// What has equal keys, as (key, items) in the order of the keys.
Result<Value> GroupByFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("groupby", arguments, {"attribute", "default", "case_sensitive"}));
  RETURN_IF_ERROR(bound.Required(0));
  ASSIGN_OR_RETURN(const bool case_sensitive, bound.Flag(2));
  if (!bound.IsNoneOrMissing(1)) return Error(Code::kUnsupported, "groupby: a default is not supported");
  ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(value, runtime.budget));
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(Value key, KeyOf(item, bound[0], case_sensitive, runtime));
    keyed.emplace_back(std::move(key), item);
  }
  RETURN_IF_ERROR(Sort(keyed, false, runtime.budget));
  std::vector<Value> groups;
  for (size_t start = 0; start < keyed.size();) {
    std::vector<Value> members;
    size_t end = start;
    for (; end < keyed.size(); ++end) {
      ASSIGN_OR_RETURN(const bool same, Equal(keyed[start].first, keyed[end].first, runtime.budget));
      if (!same && end > start) break;
      members.push_back(keyed[end].second);
    }
    ASSIGN_OR_RETURN(Value grouper, GetPath(members.front(), *bound[0], runtime));
    ASSIGN_OR_RETURN(Value list, MakeList(runtime.budget, std::move(members)));
    ASSIGN_OR_RETURN(Value group, MakeTuple(runtime.budget, {std::move(grouper), std::move(list)}));
    group.As<List>().is_group = true;
    groups.push_back(std::move(group));
    start = end;
  }
  return MakeList(runtime.budget, std::move(groups));
}

// --- pieces ---

Result<Value> BatchFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("batch", arguments, {"linecount", "fill_with"}));
  RETURN_IF_ERROR(bound.Required(0));
  ASSIGN_OR_RETURN(const int64_t size, bound.Integer(0, 0));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(value, runtime.budget));
  if (size < 1) return Error(Code::kUnsupported, "batch: the size of a batch must be positive");
  std::vector<Value> out, batch;
  for (size_t i = 0; i < items.size(); ++i) {
    batch.push_back(items[i]);
    const bool last = i + 1 == items.size();
    if (static_cast<int64_t>(batch.size()) < size && !last) continue;
    if (last && !bound.IsNoneOrMissing(1)) {
      const uint64_t missing = static_cast<uint64_t>(size) - batch.size();
      RETURN_IF_ERROR(runtime.budget.Fits(missing));
      RETURN_IF_ERROR(runtime.budget.Allow(missing * sizeof(Value)));
      batch.insert(batch.end(), static_cast<size_t>(missing), *bound[1]);
    }
    ASSIGN_OR_RETURN(Value list, MakeList(runtime.budget, std::exchange(batch, {})));
    out.push_back(std::move(list));
  }
  return MakeIterator(runtime.budget, std::move(out));
}

Result<Value> SliceFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("slice", arguments, {"slices", "fill_with"}));
  RETURN_IF_ERROR(bound.Required(0));
  ASSIGN_OR_RETURN(const int64_t slices, bound.Integer(0, 0));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(value, runtime.budget));
  if (slices < 1) return Error(Code::kInvalidArgument, "slice: the number of slices must be positive");
  const size_t each = items.size() / static_cast<size_t>(slices);
  const size_t longer = items.size() % static_cast<size_t>(slices);
  std::vector<Value> out;
  size_t start = 0;
  for (size_t number = 0; number < static_cast<size_t>(slices); ++number) {
    RETURN_IF_ERROR(runtime.budget.Charge(4));
    const size_t end = start + each + (number < longer ? 1 : 0);
    std::vector<Value> slice(items.begin() + static_cast<ptrdiff_t>(start), items.begin() + static_cast<ptrdiff_t>(end));
    if (!bound.IsNoneOrMissing(1) && number >= longer) slice.push_back(*bound[1]);
    ASSIGN_OR_RETURN(Value list, MakeList(runtime.budget, std::move(slice)));
    out.push_back(std::move(list));
    start = end;
  }
  return MakeIterator(runtime.budget, std::move(out));
}

// --- map, select and their kin ---

CallArguments WithoutFirst(const CallArguments& arguments, size_t count) {
  return {.positional = {arguments.positional.begin() + static_cast<ptrdiff_t>(count), arguments.positional.end()},
          .named = arguments.named};
}

// map(attribute=..., default=...): the default stands in at every step of the path.
Result<Value> MapAttribute(const std::vector<Value>& items, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::Of("map", arguments, {"attribute", "default"}));
  std::vector<Value> steps;
  if (bound[0]->Is(Kind::kString)) {
    for (const std::string_view part : Split(bound[0]->str(), ".", kNoLimit)) {
      steps.push_back(Value::String(&runtime.budget, std::string(part)));
    }
  } else {
    steps.push_back(*bound[0]);
  }
  std::vector<Value> out;
  for (Value item : items) {
    for (const Value& step : steps) {
      ASSIGN_OR_RETURN(item, GetPath(item, step, runtime));
      if (item.Is(Kind::kUndefined) && !bound.IsNoneOrMissing(1)) item = *bound[1];
    }
    out.push_back(std::move(item));
  }
  return MakeIterator(runtime.budget, std::move(out));
}

Result<Value> MapByFilter(const std::vector<Value>& items, const CallArguments& arguments, Runtime& runtime) {
  if (arguments.positional.empty()) return Error(Code::kInvalidArgument, "map: expected a filter or 'attribute='");
  const Value& name = arguments.positional.front();
  const FilterEntry* const filter = name.Is(Kind::kString) ? FindFilter(name.str()) : nullptr;
  if (filter == nullptr) return Error(Code::kUnsupported, "map: no such filter");
  const CallArguments rest = WithoutFirst(arguments, 1);
  std::vector<Value> out;
  for (const Value& item : items) {
    RETURN_IF_ERROR(runtime.budget.Charge(1));
    ASSIGN_OR_RETURN(Value mapped, filter->run(item, rest, runtime));
    out.push_back(std::move(mapped));
  }
  return MakeIterator(runtime.budget, std::move(out));
}

// Falsy values, None among them, count as empty; only what is true must be iterable.
Result<std::vector<Value>> ItemsIfTrue(const Value& value, Runtime& runtime) {
  if (!Truthy(value)) return std::vector<Value>();
  return Iterate(value, runtime.budget);
}

Result<Value> MapFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const std::vector<Value> items, ItemsIfTrue(value, runtime));
  const bool by_attribute =
      arguments.positional.empty() && !arguments.named.empty() &&
      std::any_of(arguments.named.begin(), arguments.named.end(), [](const auto& named) { return named.first == "attribute"; });
  if (by_attribute) return MapAttribute(items, arguments, runtime);
  // map('map', 'map', ...) takes one argument off at each level.
  if (runtime.filters_inside >= runtime.budget.limits().max_depth) return Error(Code::kResourceExhausted, "map: nested too deep");
  ++runtime.filters_inside;
  auto mapped = MapByFilter(items, arguments, runtime);
  --runtime.filters_inside;
  return mapped;
}

// select(test, ...), reject(...), selectattr(path, test, ...), rejectattr(...): without a test the truth of the item decides.
template <bool kByAttribute, bool kKeep>
Result<Value> SelectFilter(const Value& value, const CallArguments& arguments, Runtime& runtime) {
  ASSIGN_OR_RETURN(const std::vector<Value> items, ItemsIfTrue(value, runtime));
  constexpr size_t kTestAt = kByAttribute ? 1 : 0;
  if (kByAttribute && arguments.positional.empty()) return Error(Code::kInvalidArgument, "selectattr: expected an attribute");
  const TestEntry* test = nullptr;
  CallArguments rest;
  if (arguments.positional.size() > kTestAt) {
    const Value& name = arguments.positional[kTestAt];
    test = name.Is(Kind::kString) ? FindTest(name.str()) : nullptr;
    if (test == nullptr) return Error(Code::kUnsupported, "select: no such test");
    rest = WithoutFirst(arguments, kTestAt + 1);
  }
  std::vector<Value> out;
  for (const Value& item : items) {
    RETURN_IF_ERROR(runtime.budget.Charge(1));
    Value subject = item;
    if (kByAttribute) {
      ASSIGN_OR_RETURN(subject, GetPath(item, arguments.positional.front(), runtime));
    }
    bool holds = false;
    if (test == nullptr) {
      holds = Truthy(subject);
    } else {
      ASSIGN_OR_RETURN(holds, test->run(subject, rest, runtime));
    }
    if (holds == kKeep) out.push_back(item);
  }
  return MakeIterator(runtime.budget, std::move(out));
}

constexpr FilterEntry kFilters[] = {
    {"batch", BatchFilter},
    {"count", LengthFilter},
    {"dictsort", DictSortFilter},
    {"first", FirstFilter},
    {"groupby", GroupByFilter},
    {"items", ItemsFilter},
    {"join", JoinFilter},
    {"last", LastFilter},
    {"length", LengthFilter},
    {"list", ListFilter},
    {"map", MapFilter},
    {"max", ExtremeFilter<Comparison::kGreater>},
    {"min", ExtremeFilter<Comparison::kLess>},
    {"reject", SelectFilter<false, false>},
    {"rejectattr", SelectFilter<true, false>},
    {"reverse", ReverseFilter},
    {"select", SelectFilter<false, true>},
    {"selectattr", SelectFilter<true, true>},
    {"slice", SliceFilter},
    {"sort", SortFilter},
    {"sum", SumFilter},
    {"unique", UniqueFilter},
};

}  // namespace

std::span<const FilterEntry> SequenceFilters() { return kFilters; }

}  // namespace millrace::jinja
