// What a person sees: whether a descriptor is a terminal, and how wide it is.
#pragma once

namespace millrace {

bool IsTerminal(int fd);

// Columns; 80 when `fd` is no terminal or does not say.
int TerminalWidth(int fd);

}  // namespace millrace
