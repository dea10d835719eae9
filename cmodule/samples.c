// Samples as a sensor gives them: see samples.h.
#include "samples.h"

#include "operations.h"

#include <stdbool.h>

static bool narrow(int32_t word, uint32_t shift, int16_t *sample) {
    int32_t value = (word >> shift) + (shift ? word >> (shift - 1) & 1 : 0);
    int32_t fitting = value > INT16_MAX ? INT16_MAX : value < INT16_MIN ? INT16_MIN : value;
    *sample = (int16_t)fitting;
    return fitting != value;
}

uint32_t ditmos_narrow_32(const int32_t *words, int16_t *samples, uint32_t count, uint32_t shift) {
    uint32_t clipped = 0;
    for (uint32_t i = 0; i < count; i++) {
        clipped += narrow(words[i], shift, &samples[i]);
    }
    return clipped;
}

uint32_t ditmos_narrow_16(const int16_t *words, int16_t *samples, uint32_t count, uint32_t shift) {
    uint32_t clipped = 0;
    for (uint32_t i = 0; i < count; i++) {
        clipped += narrow(words[i], shift, &samples[i]);
    }
    return clipped;
}

static void count(int32_t *counter, bool one_more) {
    *counter += one_more && *counter != INT32_MAX;
}

static uint32_t loudness(const int16_t *samples, uint32_t rows, uint32_t channels) {
    int64_t sum = 0, squares = 0;
    for (uint32_t i = 0; i < rows; i++) {
        int32_t value = samples[i * channels];
        sum += value;
        squares += value * value;
    }
    // rows * squares <= 2^62 for the 2^16 rows and less that a block has. The root first: no division of 64 bits, which not
    // every port links.
    return ditmos_isqrt((uint64_t)(rows * squares - sum * sum)) / rows;
}

void ditmos_watch(const int16_t *samples, uint32_t rows, uint32_t channels, int32_t *state) {
    int32_t *last = state + DITMOS_LAST;
    for (uint32_t i = 0; i < rows; i++) {
        bool same = state[DITMOS_ROWS] > 0;
        for (uint32_t c = 0; c < channels; c++) {
            int32_t value = samples[i * channels + c];
            count(&state[DITMOS_CLIPPED], value == INT16_MAX || value == INT16_MIN);
            same &= value == last[c];
            last[c] = value;
        }
        state[DITMOS_STILL] = same ? state[DITMOS_STILL] : 0;
        count(&state[DITMOS_STILL], same);
        count(&state[DITMOS_ROWS], true);
    }
    uint32_t loudest = 0;
    for (uint32_t c = 0; c < channels && rows != 0; c++) {
        uint32_t found = loudness(samples + c, rows, channels);
        loudest = found > loudest ? found : loudest;
    }
    state[DITMOS_LOUDNESS] = (int32_t)loudest;
}
