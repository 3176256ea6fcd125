// What a file asks for and this build does not do is refused, never ignored: the keys that change a transformer's arithmetic, and the
// values with which they do not.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/config.h"
#include "model/metadata.h"

namespace millrace::model {

// kUnsupported, naming the key, for a key that changes the arithmetic and has another value than the one with which it does not, unless
// the family reads it: `read` holds such keys by their name in the form at hand. In GGUF, where every key under the architecture's name
// means something, a key that this build does not know is refused too. config.json is full of keys for other programs, so there only
// the known ones are.
Status CheckOtherKeys(const Metadata& metadata, std::span<const std::string_view> read);

// hidden_act, or `key`: `expected` is what the family computes, and what a file without the key (all GGUF files) means.
Status CheckActivation(const Metadata& metadata, std::string_view key, Activation expected);

// True for each layer that "layer_types" calls sliding; empty without that key. kUnsupported for kinds other than full and sliding
// attention.
Result<std::vector<bool>> ReadSlidingLayers(const Metadata& metadata, size_t layers);
// For families whose layers all see everything.
Status CheckNoSlidingLayers(const Metadata& metadata, size_t layers);

// Positions that a token sees, 0 for all of them; `fallback` without the key. null in config.json means all.
Result<uint32_t> ReadWindow(const Metadata& metadata, uint32_t fallback = 0);

}  // namespace millrace::model
