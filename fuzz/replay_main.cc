// Runs a fuzz target over every file of the given folders, so that seeds and past findings are checked by compilers without libFuzzer.
//
//   NAME_replay [--slowest KEEP] FOLDER...
//
// With --slowest each input is repeated to 1 MB, but for its first KEEP bytes, which choose what is done, and the time per megabyte of the slowest is
// printed. KEEP "all": inputs stay as they are, and short ones count as 64 KiB.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kMegabyte = 1'000'000;
constexpr size_t kLeastBytes = 65'536;

struct Slowest {
  double ms_per_mb = 0;
  std::string file;
};

void Grow(std::vector<char>& bytes, size_t keep) {
  const size_t unit = bytes.size();
  if (unit <= keep) return;
  bytes.reserve(kMegabyte);
  for (size_t at = keep; bytes.size() < kMegabyte; at = at + 1 < unit ? at + 1 : keep) bytes.push_back(bytes[at]);
}

// Of this process, so that others on the machine do not count.
double MillisecondsOf(const std::vector<char>& bytes) {
  const std::clock_t start = std::clock();
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  return static_cast<double>(std::clock() - start) * 1000 / CLOCKS_PER_SEC;
}

}  // namespace

int main(int argc, char** argv) {
  const bool timed = argc > 2 && std::string_view(argv[1]) == "--slowest";
  const bool grows = timed && std::string_view(argv[2]) != "all";
  const size_t keep = grows ? static_cast<size_t>(std::atoi(argv[2])) : 0;
  int files = 0;
  Slowest slowest;
  for (int i = timed ? 3 : 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
      if (grows) Grow(bytes, keep);
      double ms = MillisecondsOf(bytes);
      ++files;
      if (!timed) continue;
      ms = std::min(ms, MillisecondsOf(bytes));
      const double rate = ms * kMegabyte / static_cast<double>(std::max(bytes.size(), kLeastBytes));
      if (rate > slowest.ms_per_mb) slowest = {rate, entry.path().string()};
    }
  }
  if (files == 0) {
    std::fprintf(stderr, "no corpus file found\n");
    return 1;
  }
  std::printf("%d corpus files replayed\n", files);
  if (timed) std::printf("slowest: %.1f ms per MB, %s\n", slowest.ms_per_mb, slowest.file.c_str());
  return 0;
}
