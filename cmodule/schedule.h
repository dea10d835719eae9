// Which stage of a slice runs next, and how many rows of it: docs/format.md, "What a slice does".
//
// The loader's dry run and the engine step through the same code, so what was checked is what runs. Stages pull rows
// from their producers; the stack replaces recursion and is never deeper than the slice has stages, because producers
// come before consumers.
#ifndef DITMOS_SCHEDULE_H
#define DITMOS_SCHEDULE_H

#include "model.h"

// How far a stage is, and what is asked for at every step: 16 bytes, so that an index is a shift.
typedef struct {
    uint16_t done; // rows computed
    uint16_t begin; // first row that is still in the buffer
    uint16_t rows; // of the next chunk; 0 when the stage is finished
    uint16_t first; // first row of its operands that the next chunk needs; UINT16_MAX when the stage is finished
    uint16_t end; // the first after that which it does not need, of padding or not
    uint16_t capacity; // these three as in ditmos_stage_t
    uint16_t carry_from;
    uint8_t producer[DITMOS_MAX_OPERANDS];
} ditmos_rows_t;

typedef struct {
    ditmos_rows_t rows[DITMOS_MAX_STAGES + 1]; // the last entry is DITMOS_EXTERNAL's
    const ditmos_stage_t *stages; // of this slice
    uint32_t count;
    uint32_t goal; // stages below this one have been goals
    uint8_t *top; // of the stack: the stage that is to run next
    uint8_t stack[DITMOS_MAX_STAGES];
} ditmos_schedule_t;

// One call of a kernel: the next chunk of stage `stage` of the slice, after `dropped` rows were dropped from its output.
typedef struct {
    uint32_t stage;
    uint32_t dropped;
    bool fits; // there is room for the rows; always so after the dry run
} ditmos_step_t;

// Stage `i` has computed `done` rows.
__attribute__((always_inline)) static inline void ditmos_schedule_set(ditmos_schedule_t *s, unsigned i, uint32_t done) {
    const ditmos_stage_t *stage = &s->stages[i];
    ditmos_rows_t *r = &s->rows[i];
    uint32_t rows = stage->map_rows - done;
    r->done = (uint16_t)done;
    if (rows == 0) {
        r->rows = 0;
        r->first = UINT16_MAX;
        return;
    }
    rows = rows < stage->chunk ? rows : stage->chunk;
    r->rows = (uint16_t)rows;
    int32_t first = (int32_t)(done * stage->rows_per_row) - stage->padding.front;
    r->first = (uint16_t)(first < 0 ? 0 : first);
    r->end = (uint16_t)((done + rows) * stage->rows_per_row + (uint32_t)stage->reach);
}

static inline void ditmos_schedule_start(ditmos_schedule_t *s, const ditmos_model_t *model,
    const ditmos_slice_t *slice) {
    s->stages = &model->plan.stages[slice->first];
    s->count = slice->count;
    s->goal = slice->count == 1; // it runs first anyway
    s->top = s->stack;
    s->stack[0] = slice->count - 1;
    for (unsigned i = 0; i < slice->count; i++) {
        s->rows[i].begin = 0;
        s->rows[i].capacity = s->stages[i].capacity;
        s->rows[i].carry_from = s->stages[i].carry_from;
        s->rows[i].producer[0] = s->stages[i].producer[0];
        s->rows[i].producer[1] = s->stages[i].producer[1];
        ditmos_schedule_set(s, i, 0);
    }
    s->rows[DITMOS_EXTERNAL].done = UINT16_MAX;
    s->rows[DITMOS_EXTERNAL].begin = 0;
}

// Make room in the line buffer that stage `i` writes. Returns how many rows it loses.
static inline uint32_t ditmos_schedule_drop(ditmos_schedule_t *s, unsigned i) {
    uint32_t keep = s->rows[i].done;
    for (uint32_t consumers = s->stages[i].consumers; consumers; consumers &= consumers - 1) {
        uint32_t first = s->rows[__builtin_ctz(consumers)].first;
        keep = first < keep ? first : keep;
    }
    uint32_t dropped = keep - s->rows[i].begin;
    s->rows[i].begin = (uint16_t)keep;
    return dropped;
}

// The next step, to be followed by ditmos_schedule_done() when it has been done. False: the slice is finished.
static inline bool ditmos_schedule_next(ditmos_schedule_t *s, ditmos_step_t *step) {
    unsigned i = *s->top;
    while (s->rows[i].rows == 0) { // only a goal can be finished here, at the bottom of the stack
        while (s->goal < s->count && s->stages[s->goal].line) {
            s->goal++;
        }
        if (s->goal == s->count) {
            return false;
        }
        i = s->goal++;
        *s->top = (uint8_t)i;
    }
    for (;;) {
        // The producer that has fewer rows done has to run first if they are too few.
        ditmos_rows_t *r = &s->rows[i];
        unsigned producer = r->producer[0];
        uint32_t available = s->rows[producer].done;
        if (s->rows[r->producer[1]].done < available) {
            producer = r->producer[1];
            available = s->rows[producer].done;
        }
        // With rows of padding behind, that may be more than a producer makes.
        if (available >= r->end || s->rows[producer].rows == 0) {
            uint32_t end = (uint32_t)r->done + r->rows;
            step->stage = i;
            step->dropped = 0;
            step->fits = true;
            if (end - r->begin > r->capacity) {
                step->dropped = ditmos_schedule_drop(s, i);
                step->fits = end - r->begin <= r->capacity;
            }
            return true;
        }
        i = producer;
        *++s->top = (uint8_t)i;
    }
}

static inline void ditmos_schedule_done(ditmos_schedule_t *s, const ditmos_step_t *step) {
    ditmos_schedule_set(s, step->stage, (uint32_t)s->rows[step->stage].done + s->rows[step->stage].rows);
    if (s->top > s->stack) {
        s->top--; // back to the stage that asked for these rows
    }
}

#endif // DITMOS_SCHEDULE_H
