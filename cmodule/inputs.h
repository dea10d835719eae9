// The record of an input channel in a .dtm file (docs/format.md, INPT), and values of it to int8 (docs/arithmetic.md).
#ifndef DITMOS_INPUTS_H
#define DITMOS_INPUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "file.h"

#define DITMOS_INPUT_SIZE (20)
#define DITMOS_MAX_ZERO_POINT (1 << 21)

typedef struct {
    float scale;
    float sample_scale;
    int32_t zero_point;
    uint32_t multiplier; // a raw sample is multiplier / 2^shift steps of int8
    uint8_t shift;
    bool used; // else its values are left out
} ditmos_input_t;

// Check the record at file offset `at`, which lies inside the file.
ditmos_status_t ditmos_input_check(const uint8_t *data, uint32_t at);

// A record at any address.
ditmos_input_t ditmos_input(const uint8_t *record);

// How many of the channels are used.
unsigned ditmos_used(const uint8_t *records, unsigned channels);

// `rows` rows of `channels` values at any address, floats in real units, to rows of int8 of the channels that are used.
// Returns 1 + the row of the last value that is not finite, in a channel that is used; 0 if there is none.
uint32_t ditmos_quantize_f32(int8_t *dst, const void *src, uint32_t rows, unsigned channels, const uint8_t *records);

// The same of raw samples, int16: of one channel, values `src_step` apart to bytes `dst_step` apart; then of all.
void ditmos_quantize_channel(int8_t *dst, unsigned dst_step, const void *src, unsigned src_step, uint32_t rows,
    const uint8_t *record);
void ditmos_quantize_i16(int8_t *dst, const void *src, uint32_t rows, unsigned channels, const uint8_t *records);

#endif // DITMOS_INPUTS_H
