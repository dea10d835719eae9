// Which stage of a slice runs next, and how many rows of it: docs/format.md, "What a slice does".
//
// The loader's dry run and the engine step through the same code, so what was checked is what runs. Stages pull rows
// from their producers; the stack replaces recursion and is never deeper than the slice has stages, because producers
// come before consumers.
#ifndef DITMOS_SCHEDULE_H
#define DITMOS_SCHEDULE_H

#include "model.h"

typedef struct {
    const ditmos_stage_t *stages; // of this slice
    uint8_t count;
    uint8_t goal; // stages below this one have been goals
    uint8_t depth;
    uint8_t stack[DITMOS_MAX_STAGES];
    uint16_t done[DITMOS_MAX_STAGES + 1]; // rows computed; the last entry is DITMOS_EXTERNAL's
    uint16_t begin[DITMOS_MAX_STAGES + 1]; // first row that is still in the buffer
    uint32_t started; // bit i: stage i has made rows in this run
} ditmos_schedule_t;

// One call of a kernel: `rows` rows of stage `stage` of the slice, after `dropped` rows were dropped from its output.
typedef struct {
    uint8_t stage;
    uint16_t rows;
    uint16_t dropped;
    bool fits; // there is room for the rows; always so after the dry run
} ditmos_step_t;

static inline void ditmos_schedule_start(ditmos_schedule_t *s, const ditmos_model_t *model,
    const ditmos_slice_t *slice) {
    s->stages = &model->plan.stages[slice->first];
    s->count = slice->count;
    s->goal = 0;
    s->depth = 1;
    s->stack[0] = slice->count - 1;
    s->started = 0;
    for (unsigned i = 0; i < slice->count; i++) {
        s->done[i] = 0;
        s->begin[i] = 0;
    }
    s->done[DITMOS_EXTERNAL] = UINT16_MAX;
    s->begin[DITMOS_EXTERNAL] = 0;
}

// First row that stage `i` still needs of its operands.
static inline uint32_t ditmos_schedule_first_row(const ditmos_schedule_t *s, unsigned i) {
    return (uint32_t)s->done[i] * s->stages[i].rows_per_row;
}

// The producer that has to run before stage `i` can make `rows` more, or DITMOS_EXTERNAL.
static inline unsigned ditmos_schedule_lacking(const ditmos_schedule_t *s, unsigned i, uint32_t rows) {
    const ditmos_stage_t *stage = &s->stages[i];
    int32_t rows_in = (int32_t)((s->done[i] + rows) * stage->rows_per_row) + stage->reach;
    unsigned producer = stage->producer[0];
    if (s->done[stage->producer[1]] < s->done[producer]) {
        producer = stage->producer[1];
    }
    return s->done[producer] < rows_in ? producer : DITMOS_EXTERNAL;
}

// Make room in the line buffer that stage `i` writes. Returns how many rows it loses.
static inline uint16_t ditmos_schedule_drop(ditmos_schedule_t *s, unsigned i) {
    uint32_t keep = s->done[i];
    uint32_t consumers = s->stages[i].consumers;
    while (consumers) {
        unsigned c = (unsigned)__builtin_ctz(consumers);
        consumers &= consumers - 1;
        uint32_t first = ditmos_schedule_first_row(s, c);
        if (first < keep && s->done[c] < s->stages[c].map_rows) {
            keep = first;
        }
    }
    uint16_t dropped = (uint16_t)(keep - s->begin[i]);
    s->begin[i] = (uint16_t)keep;
    return dropped;
}

// The next step, to be followed by ditmos_schedule_done() when it has been done. False: the slice is finished.
static inline bool ditmos_schedule_next(ditmos_schedule_t *s, ditmos_step_t *step) {
    for (;;) {
        if (s->depth == 0) {
            while (s->goal < s->count && s->stages[s->goal].line) {
                s->goal++;
            }
            if (s->goal == s->count) {
                return false;
            }
            s->stack[s->depth++] = s->goal++;
        }
        unsigned i = s->stack[s->depth - 1];
        const ditmos_stage_t *stage = &s->stages[i];
        uint32_t rows = stage->map_rows - s->done[i];
        if (rows == 0) {
            s->depth--;
            continue;
        }
        rows = rows < stage->chunk ? rows : stage->chunk;
        unsigned producer = ditmos_schedule_lacking(s, i, rows);
        if (producer != DITMOS_EXTERNAL) {
            s->stack[s->depth++] = (uint8_t)producer;
            continue;
        }
        step->stage = (uint8_t)i;
        step->rows = (uint16_t)rows;
        step->dropped = 0;
        step->fits = true;
        if (stage->line) {
            uint32_t end = s->done[i] + rows;
            if (end - s->begin[i] > stage->capacity) {
                step->dropped = ditmos_schedule_drop(s, i);
                step->fits = end - s->begin[i] <= stage->capacity;
            }
        }
        return true;
    }
}

static inline void ditmos_schedule_done(ditmos_schedule_t *s, const ditmos_step_t *step) {
    s->done[step->stage] += step->rows;
    s->started |= (uint32_t)1 << step->stage;
    if (s->depth > 1) {
        s->depth--; // back to the stage that asked for these rows
    }
}

#endif // DITMOS_SCHEDULE_H
