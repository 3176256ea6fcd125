// config.json of a checkpoint that is made from another form of a model.
#pragma once

#include "base/json.h"
#include "base/status.h"
#include "model/model_file.h"
#include "model/quantisation.h"

namespace millrace::model {

// Of a checkpoint its own, without what it says about quantisation; of a GGUF file one with the members that a checkpoint of its family has.
// That one has been read back: kUnsupported, naming the difference, where config.json cannot say what the file does.
Result<Json> CheckpointConfigOf(const ModelFile& file);

// Adds what MLX writes for matrices in `format`.
void AddQuantisation(const AffineFormat& format, Json& config);

}  // namespace millrace::model
