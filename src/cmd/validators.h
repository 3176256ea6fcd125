// Checks of single option values, for CLI::Option::check: an empty text, or what is wrong. They run where the value is read, so that
// the message can say where it stands; checks of several values together belong to the command.
#pragma once

#include <string>

namespace millrace::cmd {

std::string CheckFinite(const std::string& text);     // no nan, no infinity
std::string CheckIpAddress(const std::string& text);  // 127.0.0.1, ::1
std::string CheckContext(const std::string& text);    // 0, or room for at least one block of keys and values
std::string CheckApiKey(const std::string& text);     // NAME=SECRET or SECRET; the message does not repeat it
std::string CheckHostName(const std::string& text);   // without port
std::string CheckOrigin(const std::string& text);     // scheme://host[:port], as browsers write it
std::string CheckServer(const std::string& text);     // http://host:port, see ServerUrl
std::string CheckSha256(const std::string& text);     // 64 hexadecimal digits
std::string CheckOpenDescriptor(const std::string& text);

}  // namespace millrace::cmd
