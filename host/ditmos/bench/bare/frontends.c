// Runs the front ends that the host put into PSRAM on their samples, in pieces. Prints a line for each, "differing least
// most kept work": values of rows that differ from the expected ones, instructions from one row to the next (all that
// taking in the samples costs, without the first row), and bytes of the arena; or "refused FIELD OFFSET PROBLEM".
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "frontend.h"
#include "bare.h"

#define ARENA_SIZE (1 << 18)
#define GUARD (64)

static uint8_t memory[ARENA_SIZE + 2 * GUARD] __attribute__((aligned(8)));

// Head of a job; behind it the section, the samples and the expected rows, each padded to 4 bytes.
typedef struct {
    uint32_t section_size; // 0 ends the list
    uint32_t window;
    uint32_t row_channels;
    uint32_t samples;
    uint32_t rows;
    uint32_t piece; // samples taken in at a time
} job_t;

static uint32_t padded(uint32_t size) {
    return (size + 3) & ~3u;
}

static uint32_t least;
static uint32_t most;

static uint32_t run(const job_t *job, const ditmos_frontend_t *front, const int16_t *samples, const int16_t *expected) {
    ditmos_stream_t stream;
    uint32_t before = bare_timer();
    uint32_t nothing = bare_instructions(before, bare_timer());
    uint32_t differing = 0;
    uint32_t rows = 0;
    uint32_t taken = 0;
    uint32_t spent = 0;
    least = UINT32_MAX;
    most = 0;
    ditmos_stream_init(&stream, front, memory + GUARD);
    while (taken < job->samples) {
        uint32_t piece = job->piece < job->samples - taken ? job->piece : job->samples - taken;
        const int16_t *row;
        before = bare_timer();
        taken += ditmos_stream_push(&stream, samples + taken * front->channels, piece, &row);
        spent += bare_instructions(before, bare_timer()) - nothing;
        if (row == NULL) {
            continue;
        }
        for (unsigned c = 0; c < front->row_channels && rows < job->rows; c++) {
            differing += row[c] != expected[rows * front->row_channels + c];
        }
        if (rows > 0) {
            least = spent < least ? spent : least;
            most = spent > most ? spent : most;
        }
        spent = 0;
        rows++;
    }
    return differing + (rows != job->rows);
}

int main(void) {
    const uint8_t *at = BARE_INPUT;
    char line[160];
    bare_timer_start();
    for (;;) {
        const job_t *job = (const job_t *)(const void *)at;
        if (job->section_size == 0) {
            return 0;
        }
        const uint8_t *section = at + sizeof(*job);
        const uint8_t *samples = section + padded(job->section_size);
        ditmos_frontend_t front;
        ditmos_status_t status = ditmos_frontend_parse(&front, section, 0, job->section_size, job->window,
            job->row_channels, NULL); // sections are aligned here
        if (status.field) {
            snprintf(line, sizeof(line), "refused %s %" PRIu32 " %s\n", status.field, status.offset, status.problem);
            bare_print(line);
            return 1;
        }
        const uint8_t *expected = samples + padded(2 * job->samples * front.channels);
        memset(memory, 0x5a, sizeof(memory));
        uint32_t kept = ditmos_frontend_kept_size(&front);
        uint32_t differing = run(job, &front, (const int16_t *)(const void *)samples,
            (const int16_t *)(const void *)expected);
        uint32_t end = front.memory.work + front.memory.work_size;
        end = end > front.memory.kept + kept ? end : front.memory.kept + kept;
        for (uint32_t i = 0; i < GUARD; i++) {
            differing += memory[i] != 0x5a;
            differing += memory[GUARD + end + i] != 0x5a;
        }
        snprintf(line, sizeof(line), "%" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", differing, least,
            most, kept, front.memory.work_size);
        bare_print(line);
        at = expected + padded(2 * job->rows * job->row_channels);
    }
}
