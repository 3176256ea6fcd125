#include "text/byte_merges.h"

#include "text/byte_alphabet.h"

namespace millrace::text {

Result<ByteMerges> ByteMerges::Build(const BpeModel& model, const Vocabulary& vocabulary) {
  ByteMerges out;
  for (size_t byte = 0; byte < 256; ++byte) {
    const auto id = vocabulary.Find(AlphabetFromBytes(std::string(1, static_cast<char>(byte))));
    out.byte_tokens[byte] = id && vocabulary.Type(*id) == TokenType::kNormal ? *id : kNoToken;
  }
  if (model.merges.size() > kMaxVocabularyMerges) {
    return Error(Code::kInvalidArgument, "{} merges, expected at most {}", model.merges.size(), kMaxVocabularyMerges);
  }
  out.table.Reset(model.merges.size());
  for (size_t i = 0; i < model.merges.size(); ++i) {
    const Merge& merge = model.merges[i];
    if (merge.left_bytes == 0 || merge.left_bytes >= merge.both.size()) {
      return Error(Code::kInvalidArgument, "merge {}: '{}' is not of two parts", i, merge.both);
    }
    const std::string_view both = merge.both;
    TokenId ids[3];
    const std::string_view parts[3] = {both.substr(0, merge.left_bytes), both.substr(merge.left_bytes), both};
    for (int part = 0; part < 3; ++part) {
      const std::optional<TokenId> id = vocabulary.Find(parts[part]);
      if (!id) return Error(Code::kInvalidArgument, "merge {} '{}': '{}' is no token", i, both, parts[part]);
      ids[part] = *id;
    }
    out.table.Add(ids[0], ids[1], ids[2]);
  }
  return out;
}

}  // namespace millrace::text
