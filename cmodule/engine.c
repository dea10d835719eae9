// Slices: which kernel call is next, where its operands lie, and line buffers.
#include "engine.h"

#include <string.h>

#include "schedule.h"
#include "slide.h"

void ditmos_engine_init(ditmos_engine_t *engine, const ditmos_model_t *model, int8_t *arena,
    const uint8_t *selector_weights) {
    *engine = (ditmos_engine_t) {
        .model = model,
        .arena = arena,
        .selector_weights = selector_weights,
        .classifier = -1,
    };
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
    engine->classifier_weights = weights;
    engine->classifier = (int)classifier;
}

void ditmos_engine_drop_rows(int8_t *data, uint32_t size, uint32_t rows) {
    const int8_t *from = data + rows;
    uint32_t left = size - rows;
    uint32_t i = 0;
    for (; i + 8 <= left; i += 8) {
        uint32_t a, b;
        memcpy(&a, from + i, 4);
        memcpy(&b, from + i + 4, 4);
        memcpy(data + i, &a, 4);
        memcpy(data + i + 4, &b, 4);
    }
    for (; i < left; i++) {
        data[i] = from[i];
    }
}

// Planes without a gap become one.
static void join_planes(ditmos_operand_t *operand) {
    if (operand->stride == operand->rows) {
        operand->rows *= operand->channels;
        operand->stride = operand->rows;
        operand->channels = 1;
    }
}

static void run_stage(const ditmos_engine_t *engine, const ditmos_schedule_t *schedule, const ditmos_step_t *step) {
    const ditmos_model_t *model = engine->model;
    const ditmos_buffer_t *buffers = model->plan.buffers;
    const ditmos_stage_t *stage = &schedule->stages[step->stage];
    const ditmos_model_layer_t *layer = &model->layers[stage->layer];
    bool selector = stage->layer < model->selector_layers;
    bool fc = layer->layer.fully_connected;
    uint32_t done = schedule->done[step->stage];
    const ditmos_buffer_t *out = &buffers[stage->out];

    ditmos_call_t call;
    call.weights = (selector ? engine->selector_weights : engine->classifier_weights) + layer->weights;
    call.out = engine->arena + out->offset + (done - schedule->begin[step->stage]);
    call.out_stride = out->stride;
    call.rows = step->rows;
    call.first = !(schedule->started >> step->stage & 1);
    call.carry = NULL;
    call.scratch = NULL;
    call.scratch_size = 0;
    if (stage->carry != DITMOS_NONE) {
        call.carry = (int32_t *)(void *)(engine->arena + buffers[stage->carry].offset);
    }
    if (stage->scratch != DITMOS_NONE) {
        call.scratch = engine->arena + buffers[stage->scratch].offset;
        call.scratch_size = buffers[stage->scratch].size;
    }

    uint32_t row = ditmos_schedule_first_row(schedule, step->stage);
    uint32_t rows_in = fc ? 0 : ditmos_conv_rows_in(&layer->layer, step->rows);
    for (unsigned j = 0; j < DITMOS_MAX_OPERANDS; j++) {
        ditmos_operand_t *in = &call.in[j];
        if (stage->in[j] == DITMOS_NONE) {
            *in = (ditmos_operand_t) { .channels = 0 };
            continue;
        }
        const ditmos_buffer_t *buffer = &buffers[stage->in[j]];
        unsigned producer = stage->producer[j];
        uint32_t begin = producer == DITMOS_NONE ? 0 : schedule->begin[producer];
        in->data = engine->arena + buffer->offset + (row - begin);
        in->stride = buffer->stride;
        in->channels = buffer->channels;
        in->rows = (uint16_t)(fc ? buffer->rows : rows_in);
        if (fc) {
            join_planes(in);
        }
    }
    if (fc) {
        ditmos_fc(&layer->layer, &call);
    } else {
        ditmos_conv(&layer->layer, &call);
    }
}

void ditmos_engine_run(ditmos_engine_t *engine, unsigned index) {
    const ditmos_slice_t *slice = &engine->model->plan.slices[index];
    ditmos_schedule_t schedule;
    ditmos_step_t step;
    ditmos_schedule_start(&schedule, engine->model, slice);
    if (engine->left) {
        ditmos_slide_resume(engine, slice, &schedule);
    }
    while (ditmos_schedule_next(&schedule, &step)) {
        if (step.dropped) {
            const ditmos_buffer_t *out = &engine->model->plan.buffers[schedule.stages[step.stage].out];
            ditmos_engine_drop_rows(engine->arena + out->offset, out->size, step.dropped);
        }
        run_stage(engine, &schedule, &step);
        ditmos_schedule_done(&schedule, &step);
    }
    engine->valid = (engine->valid & ~slice->destroys) | slice->makes;
    engine->left &= ~slice->destroys;
}
