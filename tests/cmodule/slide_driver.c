// Slides a window over a stream of samples, for tests under ASan and UBSan.
//
// Reads three blocks from stdin, each after its size, a little-endian u32: the model; samples, int8 (rows, channels);
// pairs of bytes (hop, classifier): move on by hop rows, select, classify. Writes the selector's logits and the class
// logits of each pair.
#include "blocks.h"
#include "slide.h"

int main(void) {
    static ditmos_model_t model;
    uint32_t model_size, samples_size, script_size;
    uint8_t *data = read_block(&model_size, 0);
    uint8_t *samples = read_block(&samples_size, 0);
    uint8_t *script = read_block(&script_size, 0);
    if (ditmos_model_parse(&model, data, model_size, take).field != NULL) {
        return 5;
    }
    const ditmos_plan_t *plan = &model.plan;
    uint8_t *selector = copy(ditmos_model_weights(&model, -1), model.selector_weights_size);
    uint8_t *weights = NULL;
    int8_t *arena = take(plan->arena_size);
    memset(arena, 0x5a, plan->arena_size);
    ditmos_engine_t engine;
    ditmos_engine_init(&engine, &model, arena, selector, take);

    size_t end = model.window; // rows taken
    int8_t *window = (int8_t *)copy(samples, end * model.channels);
    ditmos_engine_load(&engine, window);
    free(window);
    for (size_t i = 0; i + 1 < script_size; i += 2) {
        unsigned hop = script[i], k = script[i + 1];
        if (i > 0) {
            int8_t *rows = (int8_t *)copy(samples + end * model.channels, (size_t)hop * model.channels);
            end += hop;
            if (!ditmos_slide_window(&engine, rows, hop)) { // the plan does not keep the window
                window = (int8_t *)copy(samples + (end - model.window) * model.channels, model.window * model.channels);
                ditmos_engine_load(&engine, window);
                free(window);
            }
            free(rows);
        }
        for (unsigned s = 0; s < plan->select_slices; s++) {
            ditmos_engine_run(&engine, s);
        }
        if (plan->selector_logits != DITMOS_NONE) {
            fwrite(arena + plan->buffers[plan->selector_logits].offset, 1, model.selector_outputs, stdout);
        }
        if ((int)k != engine.classifier) {
            free(weights);
            weights = copy(ditmos_model_weights(&model, (int)k), model.classifier_stride);
        }
        ditmos_engine_choose(&engine, k, weights);
        for (unsigned s = plan->select_slices; s < plan->slice_count; s++) {
            if (!ditmos_engine_ready(&engine, s)) {
                return 6;
            }
            ditmos_engine_run(&engine, s);
        }
        fwrite(arena + plan->buffers[plan->logits].offset, 1, model.classes, stdout);
    }
    free(engine.stages);
    free(model.plan.slices);
    free(arena);
    free(weights);
    free(selector);
    free(script);
    free(samples);
    free(data);
    return 0;
}
