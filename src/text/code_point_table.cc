#include "text/code_point_table.h"

#include <map>
#include <string_view>

namespace millrace::text {

CodePointTable::CodePointTable(const std::vector<uint8_t>& bytes) {
  constexpr size_t kPageSize = 256;
  std::map<std::string_view, uint16_t> page_of_content;
  for (size_t begin = 0; begin < bytes.size(); begin += kPageSize) {
    const std::string_view content(reinterpret_cast<const char*>(bytes.data()) + begin, kPageSize);
    const auto [found, added] = page_of_content.try_emplace(content, static_cast<uint16_t>(page_of_content.size()));
    if (added) pages_.insert(pages_.end(), content.begin(), content.end());
    page_of_.push_back(found->second);
  }
}

}  // namespace millrace::text
