// A frame of samples -> logarithms of weighted sums of its power spectrum: docs/arithmetic.md, Spectrum.
#ifndef DITMOS_SPECTRUM_H
#define DITMOS_SPECTRUM_H

#include <stdint.h>

#include "operations.h"

#define DITMOS_SPECTRUM_SHORTEST (8) // points
#define DITMOS_SPECTRUM_LONGEST (2048)
#define DITMOS_SPECTRUM_BANDS (256)
#define DITMOS_SPECTRUM_ONE (1 << 29) // of the window

typedef struct {
    uint16_t frame; // samples, even
    uint16_t hop;
    uint16_t points;
    uint16_t bands;
    uint8_t shift; // of the samples, before they come here
    bool wide; // an Affine follows, which takes the logarithms before they are rounded
    int32_t offset;
    uint64_t floor;
    const int32_t *window; // frame values
    const uint16_t *bank; // for each band: first bin, number of bins, their weights
} ditmos_spectrum_t;

// Bytes of `work`: the transform, whose place the power spectrum takes.
#define DITMOS_SPECTRUM_WORK(points) (4u * (points) + 8u)

// One frame of one channel: shifted samples x[0], x[step], ..., where x is aligned to 4 if step is 1 -> `bands` values;
// through `affine`, one for each of them, or NULL. `work` is aligned to 4.
void ditmos_spectrum(const ditmos_spectrum_t *op, const int16_t *x, unsigned step, uint32_t *work,
    const ditmos_affine_t *affine, int16_t *out);

// exp(-2 pi i j / 2048), j <= 512: real and imaginary part times 2^31; and log2(1 + i / 64), i <= 64, times 2^16.
// Written by `python -m ditmos.frontends.constants`.
extern const int32_t ditmos_turns[2 * (DITMOS_SPECTRUM_LONGEST / 4 + 1)];
extern const uint32_t ditmos_logs[65];

#endif // DITMOS_SPECTRUM_H
