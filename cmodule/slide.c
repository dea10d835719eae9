// The window moves on: which maps can be kept, and by how much they are shifted.
#include "slide.h"

static inline uint64_t bit(unsigned i) {
    return (uint64_t)1 << i;
}

void ditmos_slide_init(ditmos_engine_t *engine) {
    const ditmos_model_t *model = engine->model;
    unsigned layers = model->selector_layers + model->classifier_layers;
    engine->step[0] = 1;
    for (unsigned i = 0; i < layers; i++) {
        const ditmos_model_layer_t *layer = &model->layers[i];
        uint32_t step = engine->step[layer->source[0]];
        if (layer->layer.kind == DITMOS_FC || layer->pad[0] + layer->pad[1] > 0
            || (layer->source[1] != DITMOS_NONE && engine->step[layer->source[1]] != step)) {
            step = 0;
        }
        engine->step[1 + i] = step * layer->layer.stride * layer->layer.pool; // a map for which it overflows has one row
    }
    engine->left = 0;
}

void ditmos_slide_move(ditmos_engine_t *engine, unsigned rows) {
    const ditmos_plan_t *plan = &engine->model->plan;
    const ditmos_buffer_t *window = &plan->buffers[plan->window];
    uint64_t left = (engine->left | engine->valid) & ~bit(plan->window);
    for (unsigned i = 0; i < plan->buffer_count; i++) {
        if (left & bit(i)) {
            uint32_t lag = rows + (engine->valid & bit(i) ? 0 : engine->lag[i]);
            if (lag > UINT16_MAX) {
                left &= ~bit(i);
            }
            engine->lag[i] = (uint16_t)lag;
        }
    }
    engine->left = left;
    engine->valid = bit(plan->window);
    ditmos_engine_drop_rows(engine->arena + window->offset, window->size, rows);
}

bool ditmos_slide_window(ditmos_engine_t *engine, const int8_t *samples, unsigned rows) {
    const ditmos_plan_t *plan = &engine->model->plan;
    const ditmos_buffer_t *window = &plan->buffers[plan->window];
    if (!(engine->valid & bit(plan->window))) {
        return false;
    }
    ditmos_slide_move(engine, rows);
    unsigned channels = engine->model->channels;
    for (unsigned c = 0; c < channels; c++) {
        int8_t *plane = engine->arena + window->offset + c * window->stride + window->rows - rows;
        const int8_t *sample = samples + c;
        for (unsigned t = 0; t < rows; t++, sample += channels) {
            plane[t] = *sample;
        }
    }
    return true;
}

void ditmos_slide_resume(ditmos_engine_t *engine, const ditmos_slice_t *slice, ditmos_schedule_t *schedule) {
    const ditmos_plan_t *plan = &engine->model->plan;
    const ditmos_stage_t *stages = &plan->stages[slice->first];
    bool whole_runs_only = slice->grows; // line buffers and growing maps are proven for runs from row 0 only
    for (unsigned i = 0; i < slice->count; i++) {
        whole_runs_only |= stages[i].line;
    }
    if (whole_runs_only) {
        return;
    }
    // Nothing else that the slice writes has bytes in common with a map that it makes: the loader refuses such a plan,
    // except where a map grows over one that was there before.
    for (unsigned i = 0; i < slice->count; i++) {
        unsigned out = stages[i].out;
        const ditmos_buffer_t *buffer = &plan->buffers[out];
        if (!(engine->left & bit(out))) {
            continue;
        }
        uint32_t step = engine->step[buffer->map];
        uint32_t rows = step ? engine->lag[out] / step : 0;
        if (rows == 0 || rows * step != engine->lag[out] || rows >= stages[i].map_rows) {
            continue;
        }
        ditmos_engine_drop_rows(engine->arena + buffer->offset, buffer->size, rows);
        ditmos_schedule_set(schedule, i, stages[i].map_rows - rows);
    }
}
