// A .dtm file (docs/format.md), parsed and validated from a buffer that nobody vouches for.
#ifndef DITMOS_MODEL_H
#define DITMOS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

#define DITMOS_MAX_CONVS (6)
#define DITMOS_MAX_FCS (2)
#define DITMOS_MAX_LAYERS (2 * (DITMOS_MAX_CONVS + DITMOS_MAX_FCS))
#define DITMOS_MAX_KERNEL (31)
#define DITMOS_MAX_CLASSIFIERS (64)
#define DITMOS_MAX_SECTIONS (32)
#define DITMOS_MAX_BUFFERS (64)
#define DITMOS_MAX_STAGES (32)
#define DITMOS_MAX_SLICES (32)
#define DITMOS_MAX_ARENA (1 << 24) // what the offset of a memoryview can hold on a 32-bit machine

#define DITMOS_NONE (255) // no buffer, no map
#define DITMOS_EXTERNAL DITMOS_MAX_STAGES // producer of what was complete before the slice

// Result of everything that reads the file: field is NULL if all is well, else what is wrong and where in the file.
typedef struct {
    const char *field;
    const char *problem;
    uint32_t offset;
} ditmos_status_t;

// What a layer makes, or the window: int8 planes. Map 0 is the window, map 1 + i is the output of layer i.
typedef struct {
    uint16_t channels;
    uint16_t rows;
} ditmos_map_t;

// `layer` is what kernels need to know; the rest is how layers are joined. Selector layers come first.
typedef struct {
    ditmos_layer_t layer;
    uint32_t weights; // offset in the selector's weights, or in those of one classifier
    uint8_t source[DITMOS_MAX_OPERANDS]; // maps that it reads; source[1] may be DITMOS_NONE
} ditmos_model_layer_t;

enum {
    DITMOS_BUFFER_MAP = 0,
    DITMOS_BUFFER_CARRY = 1,
    DITMOS_BUFFER_SCRATCH = 2,
};

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
    bool line; // `out` holds fewer rows than the map
    uint16_t map_rows; // rows of the map
    uint16_t capacity; // rows that `out` holds
    uint16_t carry_from; // rows done when the carry comes into use: its bytes are free from then on
    int32_t reach; // n output rows need n * rows_per_row + reach input rows
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

typedef struct {
    uint16_t window;
    uint16_t channels;
    uint16_t classes;
    uint16_t selector_outputs;
    uint8_t classifiers;
    uint8_t start; // level of the selector map that classifiers start from
    uint32_t aggregate; // bit i: level i is concatenated
    float input_scale;
    float sample_scale;
    float selector_scale;
    float logit_scale;
    int8_t input_zero_point;
    int8_t selector_zero_point;
    int8_t logit_zero_point;

    const char *names; // `classes` strings, UTF-8, each ended by a zero byte; in the file
    uint8_t selector_layers;
    uint8_t classifier_layers;
    uint8_t selector_convs;
    uint8_t classifier_convs;
    ditmos_model_layer_t layers[DITMOS_MAX_LAYERS];
    ditmos_map_t maps[1 + DITMOS_MAX_LAYERS];

    const uint8_t *weights; // in the file, at any address: the selector's, then one block for each classifier
    uint32_t selector_weights_size;
    uint32_t classifier_stride;

    ditmos_plan_t plan;
} ditmos_model_t;

// Gives memory for any type; does not return without it.
typedef void *(*ditmos_allocate_t)(size_t size);

// Parse `size` bytes at `data` (any address) into *model and check all of it but the contents of the weights, which
// need an aligned copy: ditmos_model_check_weights(). *model points into `data`. Allocates once at most:
// model->plan.slices, NULL if parsing failed before that.
ditmos_status_t ditmos_model_parse(ditmos_model_t *model, const uint8_t *data, uint32_t size,
    ditmos_allocate_t allocate);

// The selector's weights (`classifier` < 0) or those of one classifier, in the file.
static inline const uint8_t *ditmos_model_weights(const ditmos_model_t *model, int classifier) {
    return classifier < 0 ? model->weights
        : model->weights + model->selector_weights_size + (uint32_t)classifier * model->classifier_stride;
}

// Check a block of weights at an aligned address: the selector's (`classifier` < 0) or one classifier's. `offset` of a
// status is counted from the start of the file.
ditmos_status_t ditmos_model_check_weights(const ditmos_model_t *model, const uint8_t *data, int classifier,
    const void *block);

// PLAN section: `data` points to the file, the section is [begin, begin + size). Called by ditmos_model_parse() when
// everything else is known; computes what follows from the tables and runs the schedule once with row counters only.
ditmos_status_t ditmos_plan_parse(ditmos_model_t *model, const uint8_t *data, uint32_t begin, uint32_t size,
    ditmos_allocate_t allocate);

// Little-endian reads at any address.
static inline uint16_t ditmos_u16(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t ditmos_u32(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline ditmos_status_t ditmos_ok(void) {
    return (ditmos_status_t) { .field = NULL };
}

static inline ditmos_status_t ditmos_bad(const char *field, uint32_t offset, const char *problem) {
    return (ditmos_status_t) { .field = field, .problem = problem, .offset = offset };
}

#endif // DITMOS_MODEL_H
