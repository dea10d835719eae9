// Samples as a sensor gives them, before a model sees them: words to int16, and what is wrong with them.
#ifndef DITMOS_SAMPLES_H
#define DITMOS_SAMPLES_H

#include <stdint.h>

// `count` words of 32 or of 16 bits to int16, in place where they lie where the samples do: `shift` bits less (0 to 31, or
// to 15), rounded, what does not fit limited. Returns how many did not fit.
uint32_t ditmos_narrow_32(const int32_t *words, int16_t *samples, uint32_t count, uint32_t shift);
uint32_t ditmos_narrow_16(const int16_t *words, int16_t *samples, uint32_t count, uint32_t shift);

// What is kept of a stream of samples. `last` has a value of each channel.
enum {
    DITMOS_CLIPPED, // values at either end of 16 bits so far
    DITMOS_STILL, // rows up to now that are equal to the row before them
    DITMOS_LOUDNESS, // of the newest block: root of the mean square about the mean, of the channel that has most
    DITMOS_ROWS, // so far, at most INT32_MAX
    DITMOS_LAST, // and on: the newest row
};

// Take in `rows` rows of `channels` values.
void ditmos_watch(const int16_t *samples, uint32_t rows, uint32_t channels, int32_t *state);

#endif // DITMOS_SAMPLES_H
