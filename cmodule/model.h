// A .dtm file (docs/format.md), parsed and validated from a buffer that nobody vouches for.
#ifndef DITMOS_MODEL_H
#define DITMOS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "file.h"
#include "forest.h"
#include "frontend.h"
#include "kernels.h"
#include "plan.h"

#define DITMOS_MAX_CONVS (12) // layers in time of a branch
#define DITMOS_MAX_FCS (2)
#define DITMOS_MAX_LAYERS (2 * (DITMOS_MAX_CONVS + DITMOS_MAX_FCS))
#define DITMOS_MAX_KERNEL (31)
#define DITMOS_MAX_AVERAGE (255)
#define DITMOS_MAX_CLASSIFIERS (64)
#define DITMOS_MAX_SECTIONS (32)

// What a layer makes, or the window: int8 planes. Map 0 is the window, map 1 + i is the output of layer i.
typedef struct {
    uint16_t channels;
    uint16_t rows;
} ditmos_map_t;

// `layer` is what kernels need to know; the rest is how layers are joined. Selector layers come first.
typedef struct {
    ditmos_layer_t layer;
    uint32_t weights; // offset in the selector's weights, or in those of one classifier
    uint8_t pad[2]; // rows of padding in front and behind
    uint8_t source[DITMOS_MAX_OPERANDS]; // maps that it reads; source[1] may be DITMOS_NONE
} ditmos_model_layer_t;

struct _ditmos_model_t {
    uint16_t window;
    uint16_t channels; // that the network reads
    uint16_t row_channels; // of a row that comes in: those, and the ones that are left out
    uint16_t classes;
    uint16_t selector_outputs;
    uint8_t classifiers;
    uint8_t start; // level of the selector map that classifiers start from
    uint32_t aggregate; // bit i: level i is concatenated
    float selector_scale;
    float logit_scale;
    int8_t selector_zero_point;
    int8_t logit_zero_point;

    // In the file, at any address. Names are UTF-8, each ended by a zero byte.
    const char *names; // of the classes
    float rate; // rows per second, 0: not known
    const uint8_t *inputs; // a record for each channel of a row: inputs.h
    const int8_t *padding; // of each channel of the window, what a row of padding holds; NULL where nothing pads it
    const char *input_names; // of each channel of a row its name and its unit
    uint16_t routes; // how many of the selector's outputs stand for classifiers: the first K, or 0
    uint8_t specialists; // how many classifiers the forest's votes name: all, or 0
    uint16_t exits; // how many behind them are class logits: `classes`, or 0
    uint8_t margin_count;
    const uint8_t *margins; // int32
    const char *policy;

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
    ditmos_frontend_t *front; // NULL without one
    ditmos_forest_t *forest; // NULL without one; all there is where there are no classifiers
};

// Parse `size` bytes at `data` (any address) into *model and check all of it but the contents of the weights, which
// need an aligned copy: ditmos_model_check_weights(). *model points into `data`. Allocates
// three times at most: model->plan.slices, model->front and model->forest; each is NULL where there is none, or parsing
// failed before that.
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

#endif // DITMOS_MODEL_H
