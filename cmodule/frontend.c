// Samples through the operations of a front end, in pieces.
#include "frontend.h"

#include <string.h>

#include "dsp.h"

static int16_t *frame_of(const ditmos_stream_t *stream) {
    return (int16_t *)(void *)stream->kept;
}

static uint8_t *state_of(const ditmos_stream_t *stream, const ditmos_operation_t *operation) {
    return stream->kept + stream->front->memory.frame + operation->state;
}

// What an Affine of the device's own has in its state: channels, and behind them the sums.
static ditmos_affine_t *own_affine(const ditmos_stream_t *stream) {
    return (ditmos_affine_t *)(void *)state_of(stream, &stream->front->operations[stream->front->own_at]);
}

static ditmos_sums_t *own_sums(const ditmos_stream_t *stream) {
    return (ditmos_sums_t *)(void *)(own_affine(stream) + stream->front->operations[stream->front->own_at].channels);
}

// What the Affine `index` has: its own, or what it has been calibrated to.
static const ditmos_affine_t *affine_of(const ditmos_stream_t *stream, unsigned index) {
    bool own = stream->calibrated && index == stream->front->own_at;
    return own ? own_affine(stream) : stream->front->operations[index].affine;
}

void ditmos_stream_init(ditmos_stream_t *stream, const ditmos_frontend_t *front, uint8_t *arena) {
    stream->front = front;
    stream->kept = arena + front->memory.kept;
    stream->work = (uint32_t *)(void *)(arena + front->memory.work);
    stream->calibrated = false;
    ditmos_stream_reset(stream);
}

void ditmos_stream_reset(ditmos_stream_t *stream) {
    stream->held = 0;
    stream->seen = 0;
    stream->begun = 0;
    memset(ditmos_stream_row(stream), 0, 2u * stream->front->row_channels);
}

// Operations [first, end) but for Spectrum and Centre, on one row in place.
static void run_row(ditmos_stream_t *stream, unsigned first, unsigned end, int16_t *row) {
    for (unsigned i = first; i < end; i++) {
        const ditmos_operation_t *operation = &stream->front->operations[i];
        switch (operation->kind) {
            case DITMOS_SPLIT:
                ditmos_split(row, operation->channels, operation->first,
                    (int32_t *)(void *)state_of(stream, operation), !(stream->begun >> i & 1));
                stream->begun |= (uint8_t)(1u << i);
                break;
            case DITMOS_NORM:
                ditmos_norm(row, operation->channels, operation->second, operation->first);
                break;
            case DITMOS_AFFINE:
                ditmos_affine(row, operation->channels, affine_of(stream, i));
                break;
            default: // Centre and Summary wait for the window
                break;
        }
    }
}

// Samples as Spectrum takes them: shifted to the full range, saturated.
static void shift_samples(int16_t *to, const int16_t *from, uint32_t count, unsigned shift) {
    const int16_t *end = from + count;
    if (shift == 0) {
        memmove(to, from, 2 * count);
        return;
    }
    while (from < end) {
        *to++ = (int16_t)ditmos_sat16(*from++ * (1 << shift));
    }
}

// As many samples as the frame has room for, at most `count`, through the operations before Spectrum into the frame.
static uint32_t fill_frame(ditmos_stream_t *stream, const int16_t *samples, uint32_t count) {
    const ditmos_frontend_t *front = stream->front;
    const ditmos_spectrum_t *spectrum = &front->spectrum;
    unsigned width = front->operations[front->spectrum_at].channels;
    uint32_t room = spectrum->frame - stream->held;
    count = count < room ? count : room;
    int16_t *to = frame_of(stream) + stream->held * width;
    if (front->spectrum_at == 0) {
        shift_samples(to, samples, count * width, spectrum->shift);
    } else {
        for (uint32_t i = 0; i < count; i++, samples += front->channels, to += width) {
            memcpy(to, samples, 2u * front->channels);
            run_row(stream, 0, front->spectrum_at, to);
            shift_samples(to, to, width, spectrum->shift);
        }
    }
    stream->held += count;
    return count;
}

// The frame -> the newest row; what the next frame needs too is kept.
static void end_frame(ditmos_stream_t *stream, unsigned end) {
    const ditmos_frontend_t *front = stream->front;
    const ditmos_spectrum_t *spectrum = &front->spectrum;
    unsigned width = front->operations[front->spectrum_at].channels;
    int16_t *frame = frame_of(stream);
    int16_t *row = ditmos_stream_row(stream);
    unsigned next = front->spectrum_at + 1u;
    const ditmos_affine_t *affine = NULL;
    if (spectrum->wide && next < end) {
        affine = affine_of(stream, next++);
    }
    for (unsigned c = 0; c < width; c++) {
        ditmos_spectrum(spectrum, frame + c, width, stream->work, affine, row + c * spectrum->bands);
        affine = affine ? affine + spectrum->bands : NULL;
    }
    run_row(stream, next, end, row);
    stream->held = spectrum->frame - (uint32_t)spectrum->hop;
    memmove(frame, frame + spectrum->hop * width, 2 * stream->held * width);
}

// Samples through operations [0, end) until there is a row.
static uint32_t take(ditmos_stream_t *stream, const int16_t *samples, uint32_t count, unsigned end,
    const int16_t **row) {
    const ditmos_frontend_t *front = stream->front;
    *row = NULL;
    if (front->spectrum_at < end) {
        uint32_t taken = fill_frame(stream, samples, count);
        if (stream->held == front->spectrum.frame) {
            end_frame(stream, end);
            *row = ditmos_stream_row(stream);
        }
        return taken;
    }
    if (count == 0) {
        return 0;
    }
    // Where a Spectrum follows, its frame has room for this row, which is no sample of the frame yet.
    int16_t *to = ditmos_stream_row(stream);
    if (front->spectrum_at < front->count) {
        to = frame_of(stream) + stream->held * front->operations[front->spectrum_at].channels;
    }
    memcpy(to, samples, 2u * front->channels);
    run_row(stream, 0, end, to);
    *row = to;
    return 1;
}

uint32_t ditmos_stream_push(ditmos_stream_t *stream, const int16_t *samples, uint32_t count, const int16_t **row) {
    return take(stream, samples, count, stream->front->count, row);
}

// Rows that so many samples would make, by operations [0, end).
static uint32_t rows_of(const ditmos_stream_t *stream, unsigned end, uint32_t count) {
    const ditmos_frontend_t *front = stream->front;
    if (front->spectrum_at >= end) {
        return count;
    }
    uint32_t missing = front->spectrum.frame - stream->held;
    return count < missing ? 0 : 1 + (count - missing) / front->spectrum.hop;
}

bool ditmos_stream_observe(ditmos_stream_t *stream, const int16_t *samples, uint32_t count) {
    const ditmos_frontend_t *front = stream->front;
    unsigned end = front->own_at;
    unsigned width = front->operations[end].channels;
    ditmos_sums_t *sums = own_sums(stream);
    if (rows_of(stream, end, count) > DITMOS_MAX_STATISTICS - stream->seen) {
        return false;
    }
    if (stream->seen == 0) {
        memset(sums, 0, sizeof(*sums) * width);
    }
    while (count > 0) {
        const int16_t *row;
        uint32_t taken = take(stream, samples, count, end, &row);
        samples += taken * front->channels;
        count -= taken;
        if (row) {
            ditmos_sums_add(sums, row, width);
            stream->seen++;
        }
    }
    if (stream->seen > 0) {
        for (unsigned c = 0; c < width; c++) {
            own_affine(stream)[c] = ditmos_sums_affine(&sums[c], stream->seen);
        }
        stream->calibrated = true;
    }
    return true;
}
