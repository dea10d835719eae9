// Which stage of a slice runs next, and how many rows of it: docs/format.md, "What a slice does".
//
// The loader's dry run and the engine step through the same code, so what was checked is what runs. Stages pull rows
// from their producers; the stack replaces recursion and is never deeper than the slice has stages, because producers
// come before consumers.
#ifndef DITMOS_SCHEDULE_H
#define DITMOS_SCHEDULE_H

#include "model.h"

// How far a stage is.
typedef struct {
    uint16_t done; // rows computed
    uint16_t begin; // first row that is still in the buffer
} ditmos_rows_t;

typedef struct {
    const ditmos_stage_t *stages; // of this slice
    uint32_t count;
    uint32_t goal; // stages below this one have been goals
    uint32_t depth;
    uint8_t stack[DITMOS_MAX_STAGES];
    ditmos_rows_t rows[DITMOS_MAX_STAGES + 1]; // the last entry is DITMOS_EXTERNAL's
} ditmos_schedule_t;

// One call of a kernel: `rows` rows of stage `stage` of the slice, after `dropped` rows were dropped from its output.
typedef struct {
    uint32_t stage;
    uint32_t rows;
    uint32_t dropped;
    bool fits; // there is room for the rows; always so after the dry run
} ditmos_step_t;

static inline void ditmos_schedule_start(ditmos_schedule_t *s, const ditmos_model_t *model,
    const ditmos_slice_t *slice) {
    s->stages = &model->plan.stages[slice->first];
    s->count = slice->count;
    s->goal = 0;
    s->depth = 1;
    s->stack[0] = slice->count - 1;
    for (unsigned i = 0; i < slice->count; i++) {
        s->rows[i] = (ditmos_rows_t) { 0, 0 };
    }
    s->rows[DITMOS_EXTERNAL] = (ditmos_rows_t) { UINT16_MAX, 0 };
}

// First row that stage `i` still needs of its operands.
static inline uint32_t ditmos_schedule_first_row(const ditmos_schedule_t *s, unsigned i) {
    return (uint32_t)s->rows[i].done * s->stages[i].rows_per_row;
}

// Make room in the line buffer that stage `i` writes. Returns how many rows it loses.
static inline uint32_t ditmos_schedule_drop(ditmos_schedule_t *s, unsigned i) {
    uint32_t keep = s->rows[i].done;
    uint32_t consumers = s->stages[i].consumers;
    while (consumers) {
        unsigned c = (unsigned)__builtin_ctz(consumers);
        consumers &= consumers - 1;
        uint32_t first = ditmos_schedule_first_row(s, c);
        if (first < keep && s->rows[c].done < s->stages[c].map_rows) {
            keep = first;
        }
    }
    uint32_t dropped = keep - s->rows[i].begin;
    s->rows[i].begin = (uint16_t)keep;
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
            s->stack[s->depth++] = (uint8_t)s->goal++;
        }
        unsigned i = s->stack[s->depth - 1];
        const ditmos_stage_t *stage = &s->stages[i];
        uint32_t done = s->rows[i].done;
        uint32_t rows = stage->map_rows - done;
        if (rows == 0) {
            s->depth--;
            continue;
        }
        rows = rows < stage->chunk ? rows : stage->chunk;
        uint32_t end = done + rows;

        // The producer that has fewer rows done has to run first if they are too few.
        int32_t rows_in = (int32_t)(end * stage->rows_per_row) + stage->reach;
        unsigned producer = stage->producer[0];
        if (s->rows[stage->producer[1]].done < s->rows[producer].done) {
            producer = stage->producer[1];
        }
        if (s->rows[producer].done < rows_in) {
            s->stack[s->depth++] = (uint8_t)producer;
            continue;
        }

        step->stage = i;
        step->rows = rows;
        step->dropped = 0;
        step->fits = true;
        if (end - s->rows[i].begin > stage->capacity) {
            step->dropped = ditmos_schedule_drop(s, i);
            step->fits = end - s->rows[i].begin <= stage->capacity;
        }
        return true;
    }
}

static inline void ditmos_schedule_done(ditmos_schedule_t *s, const ditmos_step_t *step) {
    s->rows[step->stage].done += (uint16_t)step->rows;
    if (s->depth > 1) {
        s->depth--; // back to the stage that asked for these rows
    }
}

#endif // DITMOS_SCHEDULE_H
