// Runs the slices of a model in an arena. Knows nothing of Python.
#ifndef DITMOS_ENGINE_H
#define DITMOS_ENGINE_H

#include "model.h"

// A stage of the plan made ready: a call of its kernel in which only what differs between chunks is missing.
typedef struct {
    const ditmos_layer_t *layer;
    ditmos_kernel_t *kernel;
    int8_t *out; // row 0 of the buffers
    const int8_t *in[DITMOS_MAX_OPERANDS];
    uint32_t out_size;
    const ditmos_padding_t *padding; // NULL: none
    const int8_t *pads[DITMOS_MAX_OPERANDS]; // of each channel, what a row of padding holds; NULL: -128
    int8_t *edge; // padding->size bytes
    ditmos_call_t call;
} ditmos_engine_stage_t;

typedef struct {
    const ditmos_model_t *model;
    int8_t *arena; // plan.arena_size bytes, aligned to 4
    const uint8_t *selector_weights; // aligned to 4, as the next one
    const uint8_t *classifier_weights; // of classifier `classifier`
    int classifier; // -1: none yet
    uint64_t valid; // bit i: buffer i holds its whole map, for the last window
    uint64_t left; // bit i: buffer i holds its whole map, for the window lag[i] samples before (slide.h)
    uint16_t lag[DITMOS_MAX_BUFFERS];
    uint32_t step[1 + DITMOS_MAX_LAYERS];
    ditmos_engine_stage_t *stages;
} ditmos_engine_t;

// Allocates once: engine->stages.
void ditmos_engine_init(ditmos_engine_t *engine, const ditmos_model_t *model, int8_t *arena,
    const uint8_t *selector_weights, ditmos_allocate_t allocate);

// The window is there, and nothing else.
static inline void ditmos_engine_begin(ditmos_engine_t *engine) {
    engine->valid = (uint64_t)1 << engine->model->plan.window;
    engine->left = 0;
}

// Take in a window: (window, channels) int8, as sensors give it.
void ditmos_engine_load(ditmos_engine_t *engine, const int8_t *window);

// Choose whose weights classifier layers use. What a classifier computed is no longer valid; what the same one left of
// a former window may still be shifted.
void ditmos_engine_choose(ditmos_engine_t *engine, unsigned classifier, const uint8_t *weights);

// Whether the arena holds all that slice `index` needs.
static inline bool ditmos_engine_ready(const ditmos_engine_t *engine, unsigned index) {
    return (engine->model->plan.slices[index].needs & ~engine->valid) == 0;
}

// Whether the window is there: after a plan's classify that uses it up it is not.
static inline bool ditmos_engine_has_window(const ditmos_engine_t *engine) {
    return engine->valid >> engine->model->plan.window & 1;
}

// Whether the arena holds all that classify needs of select. Where classify has written over it, the select slices make
// it again, as long as the window is there.
static inline bool ditmos_engine_has_features(const ditmos_engine_t *engine) {
    return (engine->model->plan.features & ~engine->valid) == 0;
}

// Run slice `index`, which is ready.
void ditmos_engine_run(ditmos_engine_t *engine, unsigned index);

// Move all bytes of a buffer down, which drops the first `rows` rows of each plane. What moves into the end of a plane
// is of no use to anybody.
void ditmos_engine_drop_rows(int8_t *data, uint32_t size, uint32_t rows);

#endif // DITMOS_ENGINE_H
