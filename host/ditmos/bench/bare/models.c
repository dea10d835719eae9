// Runs the models that the host put into PSRAM, without MicroPython: every window and classifier of their golden vectors
// (ditmos.bench.golden). Prints a line per model, "differing arena load slice0 slice1 ...": differing bytes, arena bytes, and
// instructions of the first window's load and of each slice; or "refused FIELD OFFSET PROBLEM".
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine.h"
#include "bare.h"

#define ARENA_SIZE (1 << 20)
#define GUARD (64)

static int8_t memory[ARENA_SIZE + 2 * GUARD] __attribute__((aligned(8)));
static uint32_t counts[1 + DITMOS_MAX_SLICES];

static uint32_t padded(uint32_t size) {
    return (size + 3) & ~3u;
}

// Where a profiler tells the slices apart: called before and after each, with its index + 1, or 0 for the load.
__attribute__((noinline, used)) void bare_mark(uint32_t what) {
    __asm__ volatile ("" : : "r" (what));
}

static uint32_t differing(const int8_t *a, const int8_t *b, uint32_t size) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < size; i++) {
        count += a[i] != b[i];
    }
    return count;
}

// Calls a part of the engine and notes its instructions the first time.
#define COUNT(what, call) \
    do { \
        bare_mark(what); \
        uint32_t before = bare_timer(); \
        call; \
        uint32_t after = bare_timer(); \
        bare_mark(what); \
        if (counts[what] == 0) { \
            counts[what] = bare_instructions(before, after) - nothing; \
        } \
    } while (0)

// Tables of one model: the plan's, then the engine's.
static uint64_t tables[1024];
static size_t tables_used;

static void *allocate(size_t size) {
    void *p = &tables[tables_used];
    tables_used += (size + 7) / 8;
    return tables_used <= sizeof(tables) / 8 ? p : NULL;
}

static uint32_t run(const ditmos_model_t *model, const int8_t *vectors, int8_t *arena) {
    const ditmos_plan_t *plan = &model->plan;
    ditmos_engine_t engine;
    uint32_t before = bare_timer();
    uint32_t nothing = bare_instructions(before, bare_timer());
    uint32_t wrong = 0;
    uint32_t windows = *(const uint32_t *)vectors;
    const int8_t *at = vectors + 4;
    memset(counts, 0, sizeof(counts));
    ditmos_engine_init(&engine, model, arena, ditmos_model_weights(model, -1), allocate);
    for (uint32_t w = 0; w < windows; w++) {
        const int8_t *window = at;
        COUNT(0, ditmos_engine_load(&engine, window));
        at += (uint32_t)model->window * model->channels;
        for (unsigned i = 0; i < plan->select_slices; i++) {
            COUNT(1 + i, ditmos_engine_run(&engine, i));
        }
        if (plan->selector_logits != DITMOS_NONE) {
            wrong += differing(arena + plan->buffers[plan->selector_logits].offset, at, model->selector_outputs);
        }
        at += model->selector_outputs;
        for (unsigned k = 0; k < model->classifiers; k++) {
            ditmos_engine_choose(&engine, k, ditmos_model_weights(model, (int)k));
            bool again = !ditmos_engine_has_features(&engine);
            if (again && !ditmos_engine_has_window(&engine)) {
                ditmos_engine_load(&engine, window);
            }
            for (unsigned i = 0; again && i < plan->select_slices; i++) {
                ditmos_engine_run(&engine, i);
            }
            for (unsigned i = plan->select_slices; i < plan->slice_count; i++) {
                COUNT(1 + i, ditmos_engine_run(&engine, i));
            }
            wrong += differing(arena + plan->buffers[plan->logits].offset, at, model->classes);
            at += model->classes;
        }
    }
    return wrong;
}

static void run_file(const uint8_t *file, uint32_t size, const int8_t *vectors) {
    static ditmos_model_t model;
    char line[160];
    tables_used = 0;
    ditmos_status_t status = ditmos_model_parse(&model, file, size, allocate);
    for (int k = -1; status.field == NULL && k < model.classifiers; k++) {
        status = ditmos_model_check_weights(&model, file, k, ditmos_model_weights(&model, k));
    }
    if (status.field == NULL && model.plan.arena_size > ARENA_SIZE) {
        status = ditmos_bad("arena", 0, "too large for this program");
    }
    if (status.field != NULL) {
        snprintf(line, sizeof(line), "refused %s%s %" PRIu32 " %s\n", status.field, status.tag, status.offset,
            status.problem);
        bare_print(line);
        return;
    }
    memset(memory, 0x5a, sizeof(memory));
    int8_t *arena = memory + GUARD;
    uint32_t wrong = run(&model, vectors, arena);
    for (uint32_t i = 0; i < GUARD; i++) {
        wrong += memory[i] != 0x5a;
        wrong += arena[model.plan.arena_size + i] != 0x5a;
    }
    snprintf(line, sizeof(line), "%" PRIu32 " %" PRIu32, wrong, model.plan.arena_size);
    bare_print(line);
    for (unsigned i = 0; i <= model.plan.slice_count; i++) {
        snprintf(line, sizeof(line), " %" PRIu32, counts[i]);
        bare_print(line);
    }
    bare_print("\n");
}

// Model file and vectors, each after its size and padded to 4 bytes; a size of 0 ends the list.
int main(void) {
    const uint8_t *at = BARE_INPUT;
    bare_timer_start();
    for (uint32_t size; (size = *(const uint32_t *)at) != 0;) {
        const uint8_t *file = at + 4;
        uint32_t vectors_size = *(const uint32_t *)(file + padded(size));
        const uint8_t *vectors = file + padded(size) + 4;
        run_file(file, size, (const int8_t *)vectors);
        at = vectors + padded(vectors_size);
    }
    return 0;
}
