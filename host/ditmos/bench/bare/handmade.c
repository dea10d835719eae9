// Asks a model that emlearn converted to C for the class of every row of features that the host put into PSRAM: rows,
// features of a row, rows * features values, rows expected classes. Prints rows whose class is another one, and the
// instructions of all calls together, high and low word.
#include <inttypes.h>
#include <stdio.h>

#include "bare.h"
#include MODEL_HEADER

int main(void) {
    const uint32_t *header = (const uint32_t *)BARE_INPUT;
    uint32_t rows = header[0], features = header[1], differing = 0;
    const MODEL_TYPE *x = (const MODEL_TYPE *)(header + 2);
    const int32_t *expected = (const int32_t *)(BARE_INPUT + 8 + (rows * features * sizeof(MODEL_TYPE) + 3) / 4 * 4);
    uint64_t instructions = 0;
    bare_timer_start();
    uint32_t before = bare_timer();
    uint32_t nothing = bare_instructions(before, bare_timer());
    for (uint32_t i = 0; i < rows; i++) {
        before = bare_timer();
        int32_t found = model_predict(x + i * features, (int32_t)features);
        uint32_t after = bare_timer();
        uint32_t taken = bare_instructions(before, after);
        instructions += taken > nothing ? taken - nothing : 0; // a model that is a constant takes nothing
        differing += found != expected[i];
    }
    char line[64];
    snprintf(line, sizeof(line), "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", differing, (uint32_t)(instructions >> 32),
        (uint32_t)instructions);
    bare_print(line);
    return 0;
}
