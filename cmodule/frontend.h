// A front end: raw samples -> rows of int16, in pieces of any length. Section FRNT of a model file, docs/format.md.
#ifndef DITMOS_FRONTEND_H
#define DITMOS_FRONTEND_H

#include "operations.h"
#include "spectrum.h"
#include "summary.h"
#include "file.h"

#define DITMOS_MAX_OPERATIONS (8)
#define DITMOS_MAX_ROW (4096) // channels

enum {
    DITMOS_SPECTRUM = 1,
    DITMOS_SPLIT = 2,
    DITMOS_NORM = 3,
    DITMOS_AFFINE = 4,
    DITMOS_CENTRE = 5,
    DITMOS_SUMMARY = 6,
    DITMOS_READ_SUMMARY = 7, // whose features the network reads in place of the rows
};

typedef struct {
    uint8_t kind;
    uint8_t first; // parameters: Split k; Norm number of channels and the first one
    uint16_t second;
    uint16_t channels; // of the rows that it takes
    uint32_t state; // of Split and of an Affine of the device's own: where in the kept bytes
    const ditmos_affine_t *affine;
} ditmos_operation_t;

// Bytes of the arena, as host/ditmos/frontends/memory.py counts them.
typedef struct {
    uint32_t kept; // offset in the arena; what is kept from one call to the next, in this order:
    uint32_t frame; // size: the frame that is being filled
    uint32_t state;
    uint32_t rows; // a window of rows, for Centre and Summary
    uint32_t row; // the newest one
    uint32_t features; // of Summary
    uint32_t work; // offset
    uint32_t work_size; // for one frame, free between calls
} ditmos_frontend_memory_t;

typedef struct {
    uint16_t channels; // of the samples
    uint16_t row_channels;
    uint16_t window; // rows that a window of the network is made of
    uint8_t count;
    uint8_t spectrum_at; // index of the operation, or DITMOS_MAX_OPERATIONS
    uint8_t own_at; // the same of the Affine of the device's own
    bool reads_features; // the network's window is one row, the features of `window` rows
    bool centre; // the last operation
    bool centre_scale;
    float fs; // of the samples, Hz
    float scale; // real units of one step of a sample
    const char *names; // units, then a name for each channel of the samples: UTF-8, each ended by a zero byte
    ditmos_operation_t operations[DITMOS_MAX_OPERATIONS];
    ditmos_spectrum_t spectrum;
    ditmos_summary_t summary; // the last operation, or of no bins
    ditmos_frontend_memory_t memory;
} ditmos_frontend_t;

static inline uint32_t ditmos_frontend_kept_size(const ditmos_frontend_t *front) {
    const ditmos_frontend_memory_t *memory = &front->memory;
    return memory->frame + memory->state + memory->rows + memory->row + memory->features;
}

// Whether a window of rows is kept until it is whole.
static inline bool ditmos_frontend_keeps_rows(const ditmos_frontend_t *front) {
    return front->centre || front->summary.bins;
}

// Samples from one row to the next, and those of a window.
static inline uint32_t ditmos_frontend_hop(const ditmos_frontend_t *front) {
    return front->spectrum_at < front->count ? front->spectrum.hop : 1;
}

static inline uint32_t ditmos_frontend_window(const ditmos_frontend_t *front) {
    uint32_t first = front->spectrum_at < front->count ? front->spectrum.frame : 1;
    return (front->window - 1u) * ditmos_frontend_hop(front) + first;
}

// Parse the section [begin, begin + size) of the file at `data` and check all of it, but for what else lies in the arena.
// The network reads `channels` channels, a window `window` rows of them. What *front points to is the section, or where that is
// not aligned to 4 a copy in `copy`, which has room for `size` bytes.
ditmos_status_t ditmos_frontend_parse(ditmos_frontend_t *front, const uint8_t *data, uint32_t begin, uint32_t size,
    unsigned window, unsigned channels, void *copy);

// A front end at work.
typedef struct {
    const ditmos_frontend_t *front;
    uint8_t *kept;
    uint32_t *work;
    uint32_t held; // samples in the frame
    uint32_t seen; // rows that the calibration was made of
    uint8_t begun; // bit i: operation i has had its first row
    bool calibrated;
} ditmos_stream_t;

// `arena`: aligned to 4.
void ditmos_stream_init(ditmos_stream_t *stream, const ditmos_frontend_t *front, uint8_t *arena);

// Forget all samples. A calibration stays in use, but the next one starts anew.
void ditmos_stream_reset(ditmos_stream_t *stream);

// A window of rows, for Centre and Summary: the newest one last.
static inline int16_t *ditmos_stream_rows(const ditmos_stream_t *stream) {
    const ditmos_frontend_memory_t *memory = &stream->front->memory;
    return (int16_t *)(void *)(stream->kept + memory->frame + memory->state);
}

// The newest row.
static inline int16_t *ditmos_stream_row(const ditmos_stream_t *stream) {
    const ditmos_frontend_memory_t *memory = &stream->front->memory;
    return (int16_t *)(void *)(stream->kept + memory->frame + memory->state + memory->rows);
}

// Room for the features of Summary.
static inline int16_t *ditmos_stream_features(const ditmos_stream_t *stream) {
    return ditmos_stream_row(stream) + stream->front->memory.row / sizeof(int16_t);
}

// Take in up to `count` samples (count, channels), until there is a new row; returns how many were taken in. *row: the
// row, before Centre, or NULL.
uint32_t ditmos_stream_push(ditmos_stream_t *stream, const int16_t *samples, uint32_t count, const int16_t **row);

// The same for the calibration: a new row goes into its sums. False, with nothing done, where those are full.
bool ditmos_stream_observe(ditmos_stream_t *stream, const int16_t *samples, uint32_t count);

#endif // DITMOS_FRONTEND_H
