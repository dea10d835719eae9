// Runs front ends through the C module's parts on the host, for tests under ASan and UBSan.
//
// Reads requests from stdin until it ends, all numbers little-endian u32:
//   offset (the section is put so many bytes after an aligned address), rows of a window, channels of a row,
//   bytes and the section; bytes and the samples (samples, channels), int16;
//   bytes and the commands, each a u32: upper byte 0 push, 1 calibrate, 2 reset; the others how many samples.
// Answers each with a line, `bad FIELD OFFSET PROBLEM` or `ok ROWS KEPT WORK SEEN`, the latter followed by the rows, int16.
// Where the front end ends in Centre, the last window of rows is centred.
#include "blocks.h"
#include "frontend.h"

static int16_t *found;
static uint32_t found_rows;

static void push(ditmos_stream_t *stream, const int16_t *samples, uint32_t count) {
    const ditmos_frontend_t *front = stream->front;
    while (count > 0) {
        const int16_t *row;
        uint32_t taken = ditmos_stream_push(stream, samples, count, &row);
        samples += taken * front->channels;
        count -= taken;
        if (row) {
            memcpy(found + found_rows++ * front->row_channels, row, 2u * front->row_channels);
        }
    }
}

static void centre_last_window(const ditmos_frontend_t *front) {
    if (!front->centre || found_rows < front->window) {
        return;
    }
    int16_t *rows = found + (found_rows - front->window) * front->row_channels;
    for (unsigned c = 0; c < front->row_channels; c++) {
        ditmos_centre_t centre = ditmos_centre(rows + c, front->row_channels, front->window, front->centre_scale);
        for (unsigned t = 0; t < front->window; t++) {
            rows[t * front->row_channels + c] = ditmos_centred(&centre, rows[t * front->row_channels + c]);
        }
    }
}

static void run(const ditmos_frontend_t *front, const int16_t *samples, uint32_t count, const uint32_t *commands,
    uint32_t command_count) {
    uint32_t kept = ditmos_frontend_kept_size(front);
    // Two blocks, so that writing past the end of either is seen.
    uint8_t *arena = take(kept);
    uint32_t *work = take(front->memory.work_size);
    memset(arena, 0x5a, kept);
    ditmos_stream_t stream;
    ditmos_stream_init(&stream, front, arena - front->memory.kept);
    stream.work = work;
    found = take((size_t)2 * (count + 1) * front->row_channels);
    found_rows = 0;
    for (uint32_t i = 0; i < command_count; i++) {
        uint32_t command = commands[i];
        uint32_t n = command & 0xffffff;
        if (command >> 24 == 2) {
            ditmos_stream_reset(&stream);
            continue;
        }
        if (command >> 24 == 1) {
            if (!ditmos_stream_observe(&stream, samples, n)) {
                exit(6);
            }
        } else {
            push(&stream, samples, n);
        }
        samples += n * front->channels;
    }
    centre_last_window(front);
    printf("ok %u %u %u %u\n", (unsigned)found_rows, (unsigned)kept, (unsigned)front->memory.work_size,
        (unsigned)stream.seen);
    fwrite(found, 2u * front->row_channels, found_rows, stdout);
    free(found);
    free(work);
    free(arena);
}

int main(void) {
    uint32_t offset;
    while (next_u32(&offset)) {
        uint32_t window = read_u32();
        uint32_t channels = read_u32();
        uint32_t size;
        uint32_t samples_size;
        uint32_t commands_size;
        uint8_t *memory = read_block(&size, offset);
        uint8_t *samples = read_block(&samples_size, 0);
        uint8_t *commands = read_block(&commands_size, 0);
        ditmos_frontend_t front;
        void *copied = take(size);
        ditmos_status_t status = ditmos_frontend_parse(&front, memory + offset, 0, size, window, channels, copied);
        if (status.field) {
            printf("bad %s %u %s\n", status.field, (unsigned)status.offset, status.problem);
        } else {
            run(&front, (const int16_t *)(const void *)samples, samples_size / 2 / front.channels,
                (const uint32_t *)(const void *)commands, commands_size / 4);
        }
        fflush(stdout);
        free(copied);
        free(commands);
        free(samples);
        free(memory);
    }
    return 0;
}
