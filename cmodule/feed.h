// Samples through the front end into the window of the engine: docs/frontends.md.
#ifndef DITMOS_FEED_H
#define DITMOS_FEED_H

#include "engine.h"
#include "frontend.h"

typedef struct {
    ditmos_engine_t *engine;
    ditmos_stream_t stream;
    uint64_t spoiled; // buffers with bytes of what rows are made in
    uint32_t rows; // in the window since the reset, at most all of them
} ditmos_feed_t;

// What the front end of a model needs of its plan: its bytes lie in the arena, what it keeps shares none with any buffer,
// what it works in none with the window, and the window lasts. `begin`: of the section.
ditmos_status_t ditmos_feed_check(const ditmos_model_t *model, uint32_t begin);

// Of a model with a front end.
void ditmos_feed_init(ditmos_feed_t *feed, ditmos_engine_t *engine);

// Forget all samples and the window.
void ditmos_feed_reset(ditmos_feed_t *feed);

// Another window has been taken in: rows start anew, samples go on.
static inline void ditmos_feed_interrupt(ditmos_feed_t *feed) {
    feed->rows = 0;
}

// Take in samples (count, channels) of the front end; returns the number of new rows. They are the end of the window.
uint32_t ditmos_feed_push(ditmos_feed_t *feed, const int16_t *samples, uint32_t count);

// Samples for the calibration instead; the window starts anew. False where there would be too many.
bool ditmos_feed_observe(ditmos_feed_t *feed, const int16_t *samples, uint32_t count);

// Make the window ready for the select slices. False where rows are missing.
bool ditmos_feed_window(ditmos_feed_t *feed);

// Features of the window, of a front end with a Summary; NULL where rows are missing. They last until the next call.
const int16_t *ditmos_feed_features(ditmos_feed_t *feed);

#endif // DITMOS_FEED_H
