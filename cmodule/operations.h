// Operations of a front end on rows of int16, in place: docs/arithmetic.md, Front ends.
#ifndef DITMOS_OPERATIONS_H
#define DITMOS_OPERATIONS_H

#include <stdbool.h>
#include <stdint.h>

#define DITMOS_LOW_BITS (12) // fraction bits of a low-pass
#define DITMOS_UNIT (4096) // a deviation of 1 in standardised rows
#define DITMOS_WIDE_BITS (8)
#define DITMOS_MAX_STATISTICS (65535) // rows

// A channel of Affine, as the file has it.
typedef struct {
    int16_t offset;
    uint8_t shift;
    uint8_t reserved;
    int32_t multiplier;
} ditmos_affine_t;

// Sums over the rows of a channel.
typedef struct {
    int32_t total;
    uint32_t squares[2]; // lower word first
} ditmos_sums_t;

// A channel of a window made ready for ditmos_centred().
typedef struct {
    int32_t mean;
    int32_t deviation; // 0 where the window is not scaled
} ditmos_centre_t;

// Largest integer whose square is at most v.
uint32_t ditmos_isqrt(uint64_t v);

// (x - low, low): twice as many channels. `begin`: the row is the first one.
void ditmos_split(int16_t *row, unsigned channels, unsigned k, int32_t *low, bool begin);

// Adds the magnitude of `count` channels from `first` on, as channel `channels`.
void ditmos_norm(int16_t *row, unsigned channels, unsigned first, unsigned count);

void ditmos_affine(int16_t *row, unsigned channels, const ditmos_affine_t *affine);

// Of a value of a wide row, which has DITMOS_WIDE_BITS fraction bits more.
int16_t ditmos_affine_wide(const ditmos_affine_t *affine, int32_t x);

void ditmos_sums_add(ditmos_sums_t *sums, const int16_t *row, unsigned channels);

// What gives a mean of 0 and a deviation of DITMOS_UNIT to `count` rows, 1 to DITMOS_MAX_STATISTICS, with these sums.
ditmos_affine_t ditmos_sums_affine(const ditmos_sums_t *sums, uint32_t count);

// Of `count` values, `step` apart.
ditmos_centre_t ditmos_centre(const int16_t *x, unsigned step, unsigned count, bool scale);
int16_t ditmos_centred(const ditmos_centre_t *centre, int16_t x);

#endif // DITMOS_OPERATIONS_H
