// How a model runs: its slices, their stages, and where everything lies in the arena (docs/plans.md).
#ifndef DITMOS_PLAN_H
#define DITMOS_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "file.h"
#include "kernels.h"

#define DITMOS_MAX_BUFFERS (64)
#define DITMOS_MAX_STAGES (32)
#define DITMOS_MAX_SLICES (32)
#define DITMOS_MAX_ARENA (1 << 24) // what the offset of a memoryview can hold on a 32-bit machine

#define DITMOS_NONE (255) // no buffer, no map
#define DITMOS_EXTERNAL DITMOS_MAX_STAGES // producer of what was complete before the slice

enum {
    DITMOS_BUFFER_MAP = 0,
    DITMOS_BUFFER_CARRY = 1,
    DITMOS_BUFFER_SCRATCH = 2,
};

// Rows of padding around a layer's input (padding.h). Output rows from `inner` to before `behind` need none of them.
typedef struct {
    uint8_t front;
    uint16_t inner;
    uint16_t behind;
    uint16_t rows_in; // of the input, without padding
    uint32_t size; // bytes at the start of the scratch for the input of a chunk's rows at an edge; 0: no padding
} ditmos_padding_t;

// Where something lies in the arena. `map`: which map it holds, DITMOS_NONE for carry, scratch and unused buffers.
typedef struct {
    uint32_t offset;
    uint32_t size;
    uint16_t stride;
    uint16_t rows;
    uint16_t channels;
    uint8_t kind;
    uint8_t map;
    bool kept;
} ditmos_buffer_t;

// One layer run in chunks. The second half follows from the rest and is computed at load.
typedef struct {
    uint8_t layer;
    uint8_t in[DITMOS_MAX_OPERANDS];
    uint8_t out;
    uint8_t carry;
    uint8_t scratch;
    uint16_t chunk;

    uint8_t producer[DITMOS_MAX_OPERANDS]; // index in the slice of the stage that makes in[i], or DITMOS_EXTERNAL
    uint8_t rows_per_row; // input rows that each further output row moves on by: stride * pool
    ditmos_padding_t padding;
    bool line; // `out` holds fewer rows than the map
    uint16_t map_rows; // rows of the map
    uint16_t capacity; // rows that `out` holds
    uint16_t carry_from; // rows done when the carry comes into use: its bytes are free from then on
    int32_t reach; // n output rows need the input rows before n * rows_per_row + reach
    uint32_t consumers; // bit i: stage i of the slice reads `out`
} ditmos_stage_t;

// Stages run together. The masks have a bit for each buffer: maps that must be complete before, that are complete
// after, and buffers whose contents are gone after.
typedef struct {
    uint8_t first;
    uint8_t count;
    bool classify;
    bool grows; // something that it writes takes the place of rows of a map that it reads
    uint64_t needs;
    uint64_t makes;
    uint64_t destroys;
} ditmos_slice_t;

typedef struct {
    uint32_t arena_size;
    uint8_t buffer_count;
    uint8_t stage_count;
    uint8_t slice_count;
    uint8_t select_slices; // the first ones; the others are classify slices
    uint8_t window; // buffers
    uint8_t selector_logits; // DITMOS_NONE without a selector
    uint8_t logits;
    bool once; // classify may use up the window
    uint64_t classifier_maps; // buffers that hold what belongs to one classifier
    uint64_t features; // buffers that classify reads and select fills, or the window
    ditmos_slice_t *slices; // one block of memory with the next two
    ditmos_buffer_t *buffers;
    ditmos_stage_t *stages;
} ditmos_plan_t;

typedef struct _ditmos_model_t ditmos_model_t; // model.h

// PLAN section: `data` points to the file, the section is [begin, begin + size). Called by ditmos_model_parse() when
// everything else is known; computes what follows from the tables and runs the schedule once with row counters only.
ditmos_status_t ditmos_plan_parse(ditmos_model_t *model, const uint8_t *data, uint32_t begin, uint32_t size,
    ditmos_allocate_t allocate);

#endif // DITMOS_PLAN_H
