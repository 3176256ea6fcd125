// A model's architecture in words, for people.
#pragma once

#include <string>

#include "model/config.h"

namespace millrace::cmd {

// "base 10000 over 64 of 64 (halves)", "none", "scaled by up to 8, over ...".
std::string RopeWords(const model::RopeConfig& rope, uint32_t head_dim);

// Lines of "name   value" about layers, attention, experts and rope; each ends with a newline.
std::string ArchitectureWords(const model::ModelConfig& config);

}  // namespace millrace::cmd
