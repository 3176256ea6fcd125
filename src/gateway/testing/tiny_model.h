// A model file that is right in every number and has no weights to speak of: 256 byte tokens and the special tokens of ChatML, so
// that text and tokens are easy to relate in tests.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/types.h"

namespace millrace::gateway::testing {

inline constexpr TokenId kTinyStart = 256;  // <|im_start|>
inline constexpr TokenId kTinyEnd = 257;    // <|im_end|>, ends an answer
inline constexpr uint32_t kTinyContext = 4096;

// The path of the file, written once for this process into its temporary folder.
std::string TinyModelPath();

// The same with other chat templates, by name; removed with the object.
class TinyModelFile {
 public:
  explicit TinyModelFile(const std::map<std::string, std::string>& templates, bool chatml_tokens = true);
  ~TinyModelFile();
  TinyModelFile(const TinyModelFile&) = delete;
  TinyModelFile& operator=(const TinyModelFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The token whose text is this one byte.
TokenId TinyToken(char byte);
// The byte; '\0' for special tokens.
char TinyByte(TokenId token);

// What the template makes of one user message.
std::string TinyPrompt(std::string_view user_message);

}  // namespace millrace::gateway::testing
