#include "feed.h"

#include <string.h>

#include "inputs.h"
#include "slide.h"

#define CHUNK (32) // values quantised at a time

static uint64_t bit(unsigned buffer) {
    return (uint64_t)1 << buffer;
}

static bool overlap(const ditmos_buffer_t *buffer, uint32_t begin, uint32_t size) {
    return size > 0 && buffer->offset < begin + size && begin < buffer->offset + buffer->size;
}

ditmos_status_t ditmos_feed_check(const ditmos_model_t *model, uint32_t begin) {
    const ditmos_plan_t *plan = &model->plan;
    const ditmos_frontend_memory_t *memory = &model->front->memory;
    uint32_t kept = memory->kept;
    uint32_t kept_size = ditmos_frontend_kept_size(model->front);
    uint32_t work = memory->work;
    uint32_t work_size = memory->work_size;
    NEED(kept <= plan->arena_size && kept_size <= plan->arena_size - kept, "FRNT.kept", begin + 12,
        "outside the arena");
    NEED(work <= plan->arena_size && work_size <= plan->arena_size - work, "FRNT.work", begin + 16,
        "outside the arena");
    NEED(work_size == 0 || work >= kept + kept_size || kept >= work + work_size, "FRNT.work", begin + 16,
        "shares bytes with what is kept");
    for (unsigned i = 0; i < plan->buffer_count; i++) {
        NEED(!overlap(&plan->buffers[i], kept, kept_size), "FRNT.kept", begin + 12, "shares bytes with a buffer");
    }
    NEED(!overlap(&plan->buffers[plan->window], work, work_size), "FRNT.work", begin + 16,
        "shares bytes with the window");
    for (unsigned i = 0; i < plan->slice_count; i++) {
        NEED(!(plan->slices[i].destroys & bit(plan->window)), "FRNT", begin, "the plan's window does not last");
    }
    return ditmos_ok();
}

void ditmos_feed_init(ditmos_feed_t *feed, ditmos_engine_t *engine) {
    const ditmos_plan_t *plan = &engine->model->plan;
    const ditmos_frontend_memory_t *memory = &engine->model->front->memory;
    feed->engine = engine;
    feed->spoiled = 0;
    for (unsigned i = 0; i < plan->buffer_count; i++) {
        if (overlap(&plan->buffers[i], memory->work, memory->work_size)) {
            feed->spoiled |= bit(i);
        }
    }
    ditmos_stream_init(&feed->stream, engine->model->front, (uint8_t *)engine->arena);
    feed->rows = 0;
}

// No window until rows have filled it.
static void empty_window(ditmos_feed_t *feed) {
    ditmos_feed_interrupt(feed);
    feed->engine->valid = 0;
    feed->engine->left = 0;
}

void ditmos_feed_reset(ditmos_feed_t *feed) {
    ditmos_stream_reset(&feed->stream);
    empty_window(feed);
}

// One row to int8, at the end of the planes of the window.
static void put_row(ditmos_engine_t *engine, const int16_t *row) {
    const ditmos_model_t *model = engine->model;
    const ditmos_buffer_t *window = &model->plan.buffers[model->plan.window];
    int8_t values[CHUNK];
    int8_t *end = engine->arena + window->offset + window->rows - 1;
    for (unsigned c = 0; c < model->row_channels; c += CHUNK) {
        unsigned count = model->row_channels - c < CHUNK ? model->row_channels - c : CHUNK;
        const uint8_t *records = model->inputs + (size_t)DITMOS_INPUT_SIZE * c;
        ditmos_quantize_i16(values, row + c, 1, count, records);
        count = ditmos_used(records, count);
        for (unsigned i = 0; i < count; i++, end += window->stride) {
            *end = values[i];
        }
    }
}

// Bytes to where they lie lower. MicroPython's memmove takes one at a time where the two places are not whole words apart,
// as by a row of three int16.
static void move_down(uint8_t *to, const uint8_t *from, size_t size) {
    #if defined(__ARM_FEATURE_UNALIGNED)
    for (; size >= 16; size -= 16, to += 16, from += 16) {
        uint32_t a, b, c, d;
        memcpy(&a, from, 4);
        memcpy(&b, from + 4, 4);
        memcpy(&c, from + 8, 4);
        memcpy(&d, from + 12, 4);
        memcpy(to, &a, 4);
        memcpy(to + 4, &b, 4);
        memcpy(to + 8, &c, 4);
        memcpy(to + 12, &d, 4);
    }
    #endif
    memmove(to, from, size);
}

// `count` rows more in the window of rows, which moves on where it is full. What was made of it is of no use any more.
static void keep_rows(ditmos_feed_t *feed, const int16_t *new, uint32_t count) {
    const ditmos_frontend_t *front = feed->engine->model->front;
    size_t row = sizeof(int16_t) * front->row_channels;
    uint8_t *rows = (uint8_t *)ditmos_stream_rows(&feed->stream);
    uint32_t room = front->window - feed->rows;
    if (count > room) {
        feed->rows -= count - room;
        move_down(rows, rows + row * (count - room), row * feed->rows);
    }
    memcpy(rows + row * feed->rows, new, row * count);
    feed->rows += count;
    feed->engine->valid = 0;
    feed->engine->left = 0;
}

// Samples that are the rows of a window that is kept.
static void push_rows(ditmos_feed_t *feed, const int16_t *samples, uint32_t count) {
    const ditmos_frontend_t *front = feed->engine->model->front;
    const int16_t *end = samples + (size_t)count * front->channels;
    if (count == 0) {
        return;
    }
    count = count < front->window ? count : front->window;
    keep_rows(feed, end - (size_t)count * front->channels, count);
    memcpy(ditmos_stream_row(&feed->stream), end - front->channels, sizeof(int16_t) * front->channels);
}

uint32_t ditmos_feed_push(ditmos_feed_t *feed, const int16_t *samples, uint32_t count) {
    ditmos_engine_t *engine = feed->engine;
    const ditmos_frontend_t *front = engine->model->front;
    uint32_t made = 0;
    if (front->count == 1 && front->summary.bins) {
        push_rows(feed, samples, count);
        return count;
    }
    while (count > 0) {
        const int16_t *row;
        uint32_t taken = ditmos_stream_push(&feed->stream, samples, count, &row);
        samples += taken * front->channels;
        count -= taken;
        if (row == NULL) {
            continue;
        }
        if (feed->rows == 0) {
            empty_window(feed);
        }
        engine->valid &= ~feed->spoiled;
        engine->left &= ~feed->spoiled;
        if (ditmos_frontend_keeps_rows(front)) {
            keep_rows(feed, row, 1);
        } else {
            feed->rows += feed->rows < front->window;
            ditmos_slide_move(engine, 1);
            put_row(engine, row);
            if (feed->rows < front->window) {
                engine->valid = 0;
            }
        }
        made++;
    }
    return made;
}

bool ditmos_feed_observe(ditmos_feed_t *feed, const int16_t *samples, uint32_t count) {
    empty_window(feed);
    return ditmos_stream_observe(&feed->stream, samples, count);
}

bool ditmos_feed_window(ditmos_feed_t *feed) {
    ditmos_engine_t *engine = feed->engine;
    const ditmos_model_t *model = engine->model;
    const ditmos_frontend_t *front = model->front;
    if (feed->rows < front->window) {
        return false;
    }
    if (!ditmos_frontend_keeps_rows(front)) {
        return true;
    }
    ditmos_engine_begin(engine);
    if (front->reads_features) {
        put_row(engine, ditmos_feed_features(feed));
        return true;
    }
    const ditmos_buffer_t *window = &model->plan.buffers[model->plan.window];
    const int16_t *rows = ditmos_stream_rows(&feed->stream);
    int8_t *plane = engine->arena + window->offset;
    for (unsigned c = 0; c < front->row_channels; c++) {
        const uint8_t *record = model->inputs + (size_t)DITMOS_INPUT_SIZE * c;
        if (!ditmos_input(record).used) {
            continue;
        }
        if (front->summary.bins) {
            ditmos_quantize_channel(plane, 1, rows + c, front->row_channels, model->window, record);
        } else {
            ditmos_centre_t centre = ditmos_centre(rows + c, front->row_channels, model->window, front->centre_scale);
            for (unsigned t = 0; t < model->window; t++) {
                int16_t value = ditmos_centred(&centre, rows[t * front->row_channels + c]);
                ditmos_quantize_channel(plane + t, 1, &value, 1, 1, record);
            }
        }
        plane += window->stride;
    }
    return true;
}

const int16_t *ditmos_feed_features(ditmos_feed_t *feed) {
    const ditmos_frontend_t *front = feed->engine->model->front;
    if (feed->rows < front->window) {
        return NULL;
    }
    int16_t *features = ditmos_stream_features(&feed->stream);
    ditmos_summary(&front->summary, ditmos_stream_rows(&feed->stream), features);
    return features;
}
