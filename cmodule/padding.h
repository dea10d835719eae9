// Rows of padding around a map, which kernels know nothing of: outputs whose input reaches into them are computed from a
// copy of their input rows, with the padding, at the start of the stage's scratch; all others from the map itself.
// host/ditmos/model/padding.py has the same.
#ifndef DITMOS_PADDING_H
#define DITMOS_PADDING_H

#include "engine.h"

// What follows from a layer's rows of padding, in front and behind, for a stage that runs it `chunk` rows at a time.
ditmos_padding_t ditmos_padding_of(const ditmos_layer_t *layer, const uint8_t pad[2], uint32_t rows_in,
    uint32_t rows_out, uint32_t chunk);

// Run the rows of run->call, the first of which is row `done` of the output; the operands start at row `first` of theirs.
void ditmos_padding_run(const ditmos_engine_stage_t *run, uint32_t done, uint32_t first);

#endif // DITMOS_PADDING_H
