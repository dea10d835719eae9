// Slices: which kernel call is next, where its operands lie, and line buffers.
#include "engine.h"

#include "padding.h"
#include "schedule.h"
#include "slide.h"

#if DITMOS_KERNELS_M7
// The size that firmware is built for costs more instructions here than some kernel calls have.
#pragma GCC optimize("O2")
#endif

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
        .kernel = ditmos_kernel_of(&layer->layer),
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
    if (stage->padding.size > 0) {
        run->padding = &stage->padding;
        run->edge = run->call.scratch;
        run->call.scratch_size -= stage->padding.size;
        run->call.scratch = run->call.scratch_size > 0 ? run->edge + stage->padding.size : NULL;
    }
    for (unsigned j = 0; j < DITMOS_MAX_OPERANDS && stage->in[j] != DITMOS_NONE; j++) {
        const ditmos_buffer_t *in = &buffers[stage->in[j]];
        run->in[j] = engine->arena + in->offset;
        run->call.in[j] = operand(in, layer->layer.kind == DITMOS_FC);
        run->pads[j] = layer->source[j] == 0 ? model->padding : NULL;
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
    uint32_t two = 2 * channels, three = 3 * channels, eight = 8 * channels;
    for (uint32_t c = 0; c < channels; c++) {
        int8_t *plane = engine->arena + buffer->offset + c * buffer->stride;
        const int8_t *sample = window + c;
        int8_t *end = plane + rows;
        const int8_t *later = sample + 4 * channels;
        int8_t *eights = plane + (rows & ~7u);
        for (; plane < eights; plane += 8) { // this is a sizeable part of what select costs beside the kernels
            plane[0] = sample[0];
            plane[1] = sample[channels];
            plane[2] = sample[two];
            plane[3] = sample[three];
            plane[4] = later[0];
            plane[5] = later[channels];
            plane[6] = later[two];
            plane[7] = later[three];
            sample += eight;
            later += eight;
        }
        for (; plane < end; plane++, sample += channels) {
            *plane = *sample;
        }
    }
    ditmos_engine_begin(engine);
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

// Four rows at once, at an aligned address.
typedef uint32_t __attribute__((may_alias)) word_t;

// Moves words down; `from` has the alignment of `to` and ends at `end`.
static int8_t *move_words(int8_t *to, const int8_t **from, const int8_t *end) {
    word_t *out = (word_t *)(void *)to;
    const word_t *in = (const word_t *)(const void *)*from;
    uint32_t words = (uint32_t)(end - *from) / 4;
    *from += 4 * words;
    for (; words >= 4; words -= 4) { // all loads before the stores: the two overlap
        #if DITMOS_KERNELS_M7
        __asm__ volatile (
            "ldmia %0!, {r3, r4, r5, r12}\n"
            "stmia %1!, {r3, r4, r5, r12}"
            : "+r" (in), "+r" (out) : : "r3", "r4", "r5", "r12", "memory");
        #else
        uint32_t a = in[0];
        uint32_t b = in[1];
        uint32_t c = in[2];
        uint32_t d = in[3];
        in += 4;
        *out++ = a;
        *out++ = b;
        *out++ = c;
        *out++ = d;
        #endif
    }
    while (words-- > 0) {
        *out++ = *in++;
    }
    return (int8_t *)out;
}

// The same where `from` lies `shift` bits behind an aligned address.
static int8_t *shift_words(int8_t *to, const int8_t **from, const int8_t *end, uint32_t shift) {
    word_t *out = (word_t *)(void *)to;
    const word_t *in = (const word_t *)(const void *)(*from - shift / 8);
    uint32_t words = (uint32_t)(end - *from) / 4;
    *from += 4 * words;
    uint32_t low = *in++;
    while (words-- > 0) {
        uint32_t high = *in++;
        *out++ = low >> shift | high << (32 - shift);
        low = high;
    }
    return (int8_t *)out;
}

void ditmos_engine_drop_rows(int8_t *data, uint32_t size, uint32_t rows) {
    const int8_t *from = data + rows;
    const int8_t *end = data + size;
    while ((uintptr_t)data % 4 > 0 && from < end) {
        *data++ = *from++;
    }
    if (end - from >= 4) {
        uint32_t shift = (uintptr_t)from % 4 * 8;
        data = shift == 0 ? move_words(data, &from, end) : shift_words(data, &from, end, shift);
    }
    while (from < end) {
        *data++ = *from++;
    }
}

// Where a stage keeps its carry, which is in use from row `carry_from` on.
static int32_t *carry_of(const ditmos_engine_t *engine, const ditmos_stage_t *stage) {
    return (int32_t *)(void *)(engine->arena + engine->model->plan.buffers[stage->carry].offset);
}

static inline void run_stage(const ditmos_engine_t *engine, const ditmos_schedule_t *schedule, unsigned index,
    ditmos_engine_stage_t *run) {
    const ditmos_rows_t *rows = &schedule->rows[index];
    ditmos_call_t *call = &run->call;
    if (rows->done == rows->carry_from) {
        call->carry = carry_of(engine, &schedule->stages[index]);
        call->first = true;
    }
    call->out = run->out + rows->done - rows->begin;
    call->rows = rows->rows;
    call->in[0].data = run->in[0] + rows->first - schedule->rows[rows->producer[0]].begin;
    if (call->in[1].channels) {
        call->in[1].data = run->in[1] + rows->first - schedule->rows[rows->producer[1]].begin;
    }
    if (run->padding) {
        ditmos_padding_run(run, rows->done, rows->first);
    } else {
        run->kernel(run->layer, call);
    }
    call->first = false;
}

// Apart from what surrounds it, so that the compiler keeps what it uses in registers.
__attribute__((noinline)) static void run_steps(const ditmos_engine_t *engine, ditmos_schedule_t *schedule,
    ditmos_engine_stage_t *stages) {
    ditmos_step_t step;
    while (ditmos_schedule_next(schedule, &step)) {
        ditmos_engine_stage_t *run = &stages[step.stage];
        if (step.dropped) {
            ditmos_engine_drop_rows(run->out, run->out_size, step.dropped);
        }
        run_stage(engine, schedule, step.stage, run);
        ditmos_schedule_done(schedule, &step);
    }
}

void ditmos_engine_run(ditmos_engine_t *engine, unsigned index) {
    const ditmos_slice_t *slice = &engine->model->plan.slices[index];
    ditmos_engine_stage_t *stages = &engine->stages[slice->first];
    ditmos_schedule_t schedule;
    ditmos_schedule_start(&schedule, engine->model, slice);
    for (unsigned i = 0; i < slice->count; i++) {
        stages[i].call.first = true;
        stages[i].call.carry = NULL;
    }
    if (engine->left) {
        ditmos_slide_resume(engine, slice, &schedule);
    }
    run_steps(engine, &schedule, stages);
    engine->valid = (engine->valid & ~slice->destroys) | slice->makes;
    engine->left &= ~slice->destroys;
}
