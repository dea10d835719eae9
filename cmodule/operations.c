// Split, Norm, Affine with its calibration, Centre: docs/arithmetic.md, Front ends.
#include "operations.h"

#include "dsp.h"

uint32_t ditmos_isqrt(uint64_t v) {
    uint32_t root = 0;
    for (uint32_t bit = 1u << 31; bit; bit >>= 1) {
        uint64_t next = root | bit;
        if (next * next <= v) {
            root |= bit;
        }
    }
    return root;
}

// Divisions are of 32 bits: not every port links one of 64. b > 0.
static int32_t floor_divide(int32_t a, int32_t b) {
    return a / b - (a % b < 0);
}

void ditmos_split(int16_t *row, unsigned channels, unsigned k, int32_t *low, bool begin) {
    for (unsigned c = 0; c < channels; c++) {
        int32_t x = row[c] * (1 << DITMOS_LOW_BITS);
        low[c] = begin ? x : low[c] + ((x - low[c]) >> k);
        row[channels + c] = (int16_t)(low[c] >> DITMOS_LOW_BITS);
        row[c] = (int16_t)ditmos_sat16(row[c] - row[channels + c]);
    }
}

void ditmos_norm(int16_t *row, unsigned channels, unsigned first, unsigned count) {
    uint64_t sum = 0;
    for (unsigned c = first; c < first + count; c++) {
        sum += (uint32_t)((int32_t)row[c] * row[c]);
    }
    row[channels] = (int16_t)ditmos_sat16((int32_t)ditmos_isqrt(sum));
}

// `away` times `multiplier`, below 2^57, over 2^shift.
static int16_t scaled(int32_t away, int32_t multiplier, unsigned shift) {
    int64_t y = ((int64_t)away * multiplier + ((int64_t)1 << (shift - 1))) >> shift;
    return (int16_t)(y < INT16_MIN ? INT16_MIN : y > INT16_MAX ? INT16_MAX : y);
}

void ditmos_affine(int16_t *row, unsigned channels, const ditmos_affine_t *affine) {
    for (unsigned c = 0; c < channels; c++, affine++) {
        row[c] = scaled(row[c] - affine->offset, affine->multiplier, affine->shift);
    }
}

int16_t ditmos_affine_wide(const ditmos_affine_t *affine, int32_t x) {
    int32_t offset = affine->offset * (1 << DITMOS_WIDE_BITS);
    return scaled(x - offset, affine->multiplier, affine->shift + DITMOS_WIDE_BITS);
}

void ditmos_sums_add(ditmos_sums_t *sums, const int16_t *row, unsigned channels) {
    for (unsigned c = 0; c < channels; c++, sums++) {
        uint32_t square = (uint32_t)((int32_t)row[c] * row[c]);
        sums->total += row[c];
        sums->squares[0] += square;
        sums->squares[1] += sums->squares[0] < square;
    }
}

ditmos_affine_t ditmos_sums_affine(const ditmos_sums_t *sums, uint32_t count) {
    int64_t total = sums->total;
    uint64_t squares = (uint64_t)sums->squares[1] << 32 | sums->squares[0];
    int32_t mean = floor_divide(sums->total, (int32_t)count);
    uint32_t rest = (uint32_t)(total - (int64_t)mean * count);
    uint32_t root = ditmos_isqrt(count * squares - (uint64_t)(total * total)); // count times the deviation
    uint32_t deviation = 16 * (root / count) + (32 * (root % count) + count) / (2 * count); // 4 fraction bits
    ditmos_affine_t affine = { .offset = (int16_t)(mean + (2 * rest >= count)), .shift = 16 };
    if (deviation >= 4) { // 2^32 over the deviation, which is 2^32 - 1 over it but for the rest
        affine.multiplier = (int32_t)(UINT32_MAX / deviation + (UINT32_MAX % deviation + 1 + deviation / 2) / deviation);
    }
    return affine;
}

ditmos_centre_t ditmos_centre(const int16_t *x, unsigned step, unsigned count, bool scale) {
    int32_t total = 0; // of at most 65,535 values
    for (unsigned i = 0; i < count; i++) {
        total += x[(uint32_t)i * step];
    }
    ditmos_centre_t centre = { .mean = floor_divide(total, (int32_t)count) };
    if (scale) {
        uint64_t squares = 0; // below 2^48, and below 2^32 times the count
        for (unsigned i = 0; i < count; i++) {
            uint32_t away = (uint32_t)(x[(uint32_t)i * step] - centre.mean);
            squares += (uint32_t)(away * away);
        }
        uint32_t high = (uint32_t)(squares >> 16);
        uint32_t mean_square = (high / count << 16) + (high % count << 16 | (uint32_t)(squares & 0xffff)) / count;
        uint32_t root = ditmos_isqrt(mean_square);
        centre.deviation = root ? (int32_t)root : 1;
    }
    return centre;
}

int16_t ditmos_centred(const ditmos_centre_t *centre, int16_t x) {
    int32_t away = x - centre->mean;
    if (centre->deviation) {
        away = floor_divide(away * DITMOS_UNIT + (centre->deviation >> 1), centre->deviation);
    }
    return (int16_t)ditmos_sat16(away);
}
