#include "cmd/report.h"

#include <cmath>

namespace millrace::cmd {

Report::Report(std::string isa, uint32_t threads) : isa_(std::move(isa)), threads_(threads), before_(SampleLoad()) {}

std::string Report::Write(const std::string& verdict) const {
  const LoadSample after = SampleLoad();
  Json out(Json::Object{{"ok", Json(verdict == "holds")},
                        {"verdict", Json(verdict)},
                        {"cpu", Json(GetCpu().model)},
                        {"isa", Json(isa_)},
                        {"threads", Json(uint64_t{threads_})},
                        {"load", Json(Json::Object{{"load_1min", Json(Rounded(after.load_1min, 2))},
                                                   {"steal", Json(Rounded(StealShare(before_, after), 4))}})}});
  for (const auto& [key, value] : figures_.members()) out.Set(key, value);
  return out.Write();
}

double Rounded(double value, int decimals) {
  const double scale = std::pow(10.0, decimals);
  return std::round(value * scale) / scale;
}

}  // namespace millrace::cmd
