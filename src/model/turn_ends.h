// Special tokens that end a turn in the chat formats of models of this kind: many files name only one of theirs as end of sequence.
#pragma once

#include "text/tokenizer_spec.h"

namespace millrace::model {

// Adds the control and user-defined tokens that are known to end a turn ("<|im_end|>" and the like) to end_of_sequence, which is sorted
// then, each id once.
void AddTurnEnds(text::TokenizerSpec& spec);

}  // namespace millrace::model
