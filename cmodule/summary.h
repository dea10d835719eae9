// Features of a window made by hand, in integers: docs/arithmetic.md, Summary.
#ifndef DITMOS_SUMMARY_H
#define DITMOS_SUMMARY_H

#include <stdint.h>

#define DITMOS_SUMMARY_PARTS (4) // of a window, each with its own variance
#define DITMOS_SUMMARY_BLOCKS (64) // at most
#define DITMOS_SUMMARY_BINS (15) // at most
#define DITMOS_SUMMARY_STEP (8) // rows that are taken in at a time, where a block has so many
#define DITMOS_SUMMARY_BLOCK (4096) // at most
#define DITMOS_SUMMARY_WEIGHT (65535) // sum of the magnitudes of a bin's cosines, at most; of its sines, too

// table: for each bin and each two blocks, two cosines and two sines; aligned to 4.
typedef struct {
    uint16_t rows; // of a window
    uint16_t channels;
    uint16_t block; // rows of a block, a power of 2
    uint8_t blocks;
    uint8_t bins; // 0: no summary
    const int16_t *table;
} ditmos_summary_t;

// Groups of three axes, whose norm has bins, too.
static inline unsigned ditmos_summary_triples(unsigned channels) {
    return channels % 3 == 0 ? channels / 3 : 0;
}

// How many features a window of so many channels has.
static inline uint32_t ditmos_summary_size(unsigned channels, unsigned bins) {
    return channels * (4u + DITMOS_SUMMARY_PARTS + bins) + ditmos_summary_triples(channels) * bins;
}

// rows: (rows, channels), the newest last. out: ditmos_summary_size() features.
void ditmos_summary(const ditmos_summary_t *summary, const int16_t *rows, int16_t *out);

#endif // DITMOS_SUMMARY_H
