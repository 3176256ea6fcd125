#include "kernels/kernel_table.h"

#include <array>

#include "base/check.h"
#include "kernels/kernel_tables.h"

namespace millrace::kernels {
namespace {

bool Always() { return true; }
#if defined(__x86_64__)
// The compiler's own detection also asks whether the operating system saves the wide registers.
bool HasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"); }
bool HasAvx512Vnni() {
  return HasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
#endif

struct Row {
  Isa isa;
  std::string_view name;
  bool (*available)();
  const KernelTable* table;
};

// Slowest first.
constexpr Row kRows[] = {
    {Isa::kScalar, "scalar", Always, &kScalarTable},
#if defined(__x86_64__)
    {Isa::kAvx2, "avx2", HasAvx2, &kAvx2Table},
    {Isa::kAvx512Vnni, "avx512vnni", HasAvx512Vnni, &kAvx512Table},
#endif
};

struct Available {
  std::array<Isa, std::size(kRows)> isas{};
  size_t count = 0;
};

const Available& Detect() {
  static const Available found = [] {
    Available available;
    for (const Row& row : kRows) {
      if (row.available()) available.isas[available.count++] = row.isa;
    }
    return available;
  }();
  return found;
}

}  // namespace

std::string_view IsaName(Isa isa) {
  for (const Row& row : kRows) {
    if (row.isa == isa) return row.name;
  }
  return "unknown";
}

std::optional<Isa> IsaFromName(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.isa;
  }
  return std::nullopt;
}

std::span<const Isa> AvailableIsas() { return {Detect().isas.data(), Detect().count}; }

Isa BestIsa() { return AvailableIsas().back(); }

const KernelTable& TableFor(Isa isa) {
  for (const Row& row : kRows) {
    if (row.isa == isa && row.available()) return *row.table;
  }
  CheckFailed(__FILE__, __LINE__, "TableFor", "the instruction set is not among AvailableIsas()");
}

}  // namespace millrace::kernels
