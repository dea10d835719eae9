// Runs models through the C module's parts on the host, without MicroPython, for tests under ASan and UBSan.
//
// Reads requests from stdin until it ends, all numbers little-endian u32:
//   offset (the model is put so many bytes after an aligned address), size, the model,
//   size, golden vectors as `ditmos.bench.golden.vectors` writes them (size 0: parse only), whether they must match.
// Answers each with a line:
//   ok
//   bad FIELD OFFSET PROBLEM
//   differs WINDOW WHAT (selector or the number of a classifier)
#include "blocks.h"
#include "engine.h"

// The weights of a classifier, or of the selector (-1).
static uint8_t *weights_of(const ditmos_model_t *model, int classifier) {
    return copy(ditmos_model_weights(model, classifier),
        classifier < 0 ? model->selector_weights_size : model->classifier_stride);
}

static ditmos_status_t check_weights(const ditmos_model_t *model, const uint8_t *data) {
    ditmos_status_t status = { .field = NULL };
    for (int k = -1; k < model->classifiers && status.field == NULL; k++) {
        uint8_t *weights = weights_of(model, k);
        status = ditmos_model_check_weights(model, data, k, weights);
        free(weights);
    }
    return status;
}

static void run_slices(ditmos_engine_t *engine, unsigned begin, unsigned end) {
    for (unsigned i = begin; i < end; i++) {
        if (!ditmos_engine_ready(engine, i)) {
            printf("slice %u is not ready\n", i);
            exit(5);
        }
        ditmos_engine_run(engine, i);
    }
}

// Select, then every classifier, on every window. Prints the answer.
static void run(const ditmos_model_t *model, const uint8_t *vectors, size_t size, bool must_match) {
    const ditmos_plan_t *plan = &model->plan;
    size_t window = (size_t)model->window * model->channels;
    size_t record = window + model->selector_outputs + (size_t)model->classifiers * model->classes;
    uint32_t count = ditmos_u32(vectors);
    if (must_match && size != 4 + count * record) {
        printf("vectors do not fit the model\n");
        return;
    }
    int8_t *arena = take(plan->arena_size);
    memset(arena, 0x5a, plan->arena_size);
    int8_t *input = take(window);
    uint8_t *selector = weights_of(model, -1);
    ditmos_engine_t engine;
    ditmos_engine_init(&engine, model, arena, selector, take);
    char answer[64] = "ok";
    for (uint32_t i = 0; i < count && (size_t)(i + 1) * record <= size - 4; i++) {
        const uint8_t *expected = vectors + 4 + i * record;
        memcpy(input, expected, window);
        expected += window;
        ditmos_engine_load(&engine, input);
        run_slices(&engine, 0, plan->select_slices);
        if (plan->selector_logits != DITMOS_NONE
            && memcmp(arena + plan->buffers[plan->selector_logits].offset, expected, model->selector_outputs) != 0) {
            snprintf(answer, sizeof(answer), "differs %u selector", (unsigned)i);
        }
        expected += model->selector_outputs;
        for (unsigned k = 0; k < model->classifiers; k++, expected += model->classes) {
            uint8_t *weights = weights_of(model, (int)k);
            ditmos_engine_choose(&engine, k, weights);
            if (!ditmos_engine_has_features(&engine)) {
                if (!ditmos_engine_has_window(&engine)) {
                    ditmos_engine_load(&engine, input);
                }
                run_slices(&engine, 0, plan->select_slices);
            }
            run_slices(&engine, plan->select_slices, plan->slice_count);
            if (memcmp(arena + plan->buffers[plan->logits].offset, expected, model->classes) != 0) {
                snprintf(answer, sizeof(answer), "differs %u %u", (unsigned)i, k);
            }
            free(weights);
        }
    }
    printf("%s\n", must_match ? answer : "ok");
    free(engine.stages);
    free(selector);
    free(input);
    free(arena);
}

int main(void) {
    static ditmos_model_t model;
    uint32_t offset;
    while (next_u32(&offset)) {
        uint32_t size, vectors_size;
        uint8_t *memory = read_block(&size, offset);
        uint8_t *vectors = read_block(&vectors_size, 0);
        uint32_t must_match = read_u32();
        memset(&model, 0xa5, sizeof(model)); // nothing may be left over from the model before
        const uint8_t *data = memory + offset;
        ditmos_status_t status = ditmos_model_parse(&model, data, size, take);
        if (status.field == NULL) {
            status = check_weights(&model, data);
        }
        if (status.field) {
            printf("bad %s%s %u %s\n", status.field, status.tag, (unsigned)status.offset, status.problem);
        } else if (vectors_size >= 4) {
            run(&model, vectors, vectors_size, must_match);
        } else {
            printf("ok\n");
        }
        fflush(stdout);
        free(model.plan.slices);
        free(model.front);
        free(model.forest);
        free(vectors);
        free(memory);
    }
    return 0;
}
