// Slices: which kernel call is next, where its operands lie, and line buffers.
#include "engine.h"

#include <string.h>

#include "schedule.h"
#include "slide.h"

// Operand j of a stage; fully connected: planes without a gap become one.
static ditmos_operand_t operand(const ditmos_buffer_t *buffer, bool fully_connected) {
    if (fully_connected && buffer->stride == buffer->rows) {
        return (ditmos_operand_t) {
            .channels = 1,
            .rows = (uint16_t)(buffer->rows * buffer->channels),
        };
    }
    return (ditmos_operand_t) {
        .stride = buffer->stride,
        .channels = buffer->channels,
        .rows = buffer->rows,
    };
}

// What does not change from call to call.
static void prepare_stage(ditmos_engine_t *engine, unsigned index) {
    const ditmos_model_t *model = engine->model;
    const ditmos_buffer_t *buffers = model->plan.buffers;
    const ditmos_stage_t *stage = &model->plan.stages[index];
    const ditmos_model_layer_t *layer = &model->layers[stage->layer];
    const ditmos_buffer_t *out = &buffers[stage->out];
    ditmos_engine_stage_t *run = &engine->stages[index];
    *run = (ditmos_engine_stage_t) {
        .layer = &layer->layer,
        .out = engine->arena + out->offset,
        .out_size = out->size,
        .call = { .out_stride = out->stride },
    };
    if (stage->layer < model->selector_layers) {
        run->call.weights = engine->selector_weights + layer->weights;
    }
    if (stage->scratch != DITMOS_NONE) {
        run->call.scratch = engine->arena + buffers[stage->scratch].offset;
        run->call.scratch_size = buffers[stage->scratch].size;
    }
    for (unsigned j = 0; j < DITMOS_MAX_OPERANDS && stage->in[j] != DITMOS_NONE; j++) {
        const ditmos_buffer_t *in = &buffers[stage->in[j]];
        run->in[j] = engine->arena + in->offset;
        run->call.in[j] = operand(in, layer->layer.fully_connected);
    }
}

void ditmos_engine_init(ditmos_engine_t *engine, const ditmos_model_t *model, int8_t *arena,
    const uint8_t *selector_weights, ditmos_allocate_t allocate) {
    *engine = (ditmos_engine_t) {
        .model = model,
        .arena = arena,
        .selector_weights = selector_weights,
        .classifier = -1,
        .stages = allocate(sizeof(ditmos_engine_stage_t) * model->plan.stage_count),
    };
    for (unsigned i = 0; i < model->plan.stage_count; i++) {
        prepare_stage(engine, i);
    }
    ditmos_slide_init(engine);
}

void ditmos_engine_load(ditmos_engine_t *engine, const int8_t *window) {
    const ditmos_plan_t *plan = &engine->model->plan;
    const ditmos_buffer_t *buffer = &plan->buffers[plan->window];
    uint32_t channels = engine->model->channels;
    uint32_t rows = engine->model->window;
    for (uint32_t c = 0; c < channels; c++) {
        int8_t *plane = engine->arena + buffer->offset + c * buffer->stride;
        const int8_t *sample = window + c;
        uint32_t t = 0;
        for (; t + 4 <= rows; t += 4) { // unrolled: this is a sizeable part of what select costs beside the kernels
            plane[t] = sample[0];
            plane[t + 1] = sample[channels];
            plane[t + 2] = sample[2 * channels];
            plane[t + 3] = sample[3 * channels];
            sample += 4 * channels;
        }
        for (; t < rows; t++, sample += channels) {
            plane[t] = *sample;
        }
    }
    engine->valid = (uint64_t)1 << plan->window;
    engine->left = 0;
}

void ditmos_engine_choose(ditmos_engine_t *engine, unsigned classifier, const uint8_t *weights) {
    engine->valid &= ~engine->model->plan.classifier_maps;
    if (engine->classifier != (int)classifier) {
        engine->left &= ~engine->model->plan.classifier_maps;
    }
    engine->classifier = (int)classifier;
    if (engine->classifier_weights != weights) {
        engine->classifier_weights = weights;
        const ditmos_model_t *model = engine->model;
        for (unsigned i = 0; i < model->plan.stage_count; i++) {
            unsigned layer = model->plan.stages[i].layer;
            if (layer >= model->selector_layers) {
                engine->stages[i].call.weights = weights + model->layers[layer].weights;
            }
        }
    }
}

static inline uint32_t load_word(const int8_t *p) {
    uint32_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

static inline void store_word(int8_t *p, uint32_t word) {
    memcpy(p, &word, sizeof(word));
}

void ditmos_engine_drop_rows(int8_t *data, uint32_t size, uint32_t rows) {
    const int8_t *from = data + rows;
    const int8_t *end = data + size;
    for (; end - from >= 16; from += 16, data += 16) { // all loads before the stores: the two overlap
        uint32_t a = load_word(from);
        uint32_t b = load_word(from + 4);
        uint32_t c = load_word(from + 8);
        uint32_t d = load_word(from + 12);
        store_word(data, a);
        store_word(data + 4, b);
        store_word(data + 8, c);
        store_word(data + 12, d);
    }
    for (; end - from >= 4; from += 4, data += 4) {
        store_word(data, load_word(from));
    }
    while (from < end) {
        *data++ = *from++;
    }
}

// Where a stage keeps its carry, which is in use from row `carry_from` on.
static int32_t *carry_of(const ditmos_engine_t *engine, const ditmos_stage_t *stage) {
    return (int32_t *)(void *)(engine->arena + engine->model->plan.buffers[stage->carry].offset);
}

static inline void run_stage(const ditmos_schedule_t *schedule, const ditmos_step_t *step, ditmos_engine_stage_t *run) {
    const ditmos_stage_t *stage = &schedule->stages[step->stage];
    ditmos_call_t *call = &run->call;
    uint32_t row = ditmos_schedule_first_row(schedule, step->stage);
    call->out = run->out + (schedule->rows[step->stage].done - schedule->rows[step->stage].begin);
    call->rows = (uint16_t)step->rows;
    call->in[0].data = run->in[0] + (row - schedule->rows[stage->producer[0]].begin);
    if (call->in[1].channels) {
        call->in[1].data = run->in[1] + (row - schedule->rows[stage->producer[1]].begin);
    }
    if (run->layer->fully_connected) {
        ditmos_fc(run->layer, call);
    } else {
        ditmos_conv(run->layer, call);
    }
    call->first = false;
}

void ditmos_engine_run(ditmos_engine_t *engine, unsigned index) {
    const ditmos_slice_t *slice = &engine->model->plan.slices[index];
    ditmos_engine_stage_t *stages = &engine->stages[slice->first];
    ditmos_schedule_t schedule;
    ditmos_step_t step;
    ditmos_schedule_start(&schedule, engine->model, slice);
    for (unsigned i = 0; i < slice->count; i++) {
        const ditmos_stage_t *stage = &schedule.stages[i];
        stages[i].call.first = true;
        stages[i].call.carry = stage->carry_from == 0 ? carry_of(engine, stage) : NULL;
    }
    if (engine->left) {
        ditmos_slide_resume(engine, slice, &schedule);
    }
    while (ditmos_schedule_next(&schedule, &step)) {
        ditmos_engine_stage_t *run = &stages[step.stage];
        if (step.dropped) {
            ditmos_engine_drop_rows(run->out, run->out_size, step.dropped);
        }
        const ditmos_stage_t *stage = &schedule.stages[step.stage];
        if (schedule.rows[step.stage].done == stage->carry_from) {
            run->call.carry = carry_of(engine, stage);
            run->call.first = true;
        }
        run_stage(&schedule, &step, run);
        ditmos_schedule_done(&schedule, &step);
    }
    engine->valid = (engine->valid & ~slice->destroys) | slice->makes;
    engine->left &= ~slice->destroys;
}
