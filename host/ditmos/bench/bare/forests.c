// Runs front ends' summaries and forests on the windows that the host put into PSRAM. Prints a line for each: "features
// votes answers specialists" that differ from the expected ones, then the mean and the most instructions of the summary,
// of the votes, of the average with logits and of naming the specialist; or "refused FIELD OFFSET PROBLEM".
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "forest.h"
#include "frontend.h"
#include "bare.h"

#define MOST_FEATURES (1024)
#define MOST_CLASSES (1024)
#define PARTS (4) // that are measured

// Head of a job; behind it FRNT, FRST, and for each window rows, features, votes, logits, the answer and the specialist
// as u32, all padded to 4 bytes.
typedef struct {
    uint32_t front_size; // 0 ends the list
    uint32_t forest_size;
    uint32_t window;
    uint32_t channels;
    uint32_t classes;
    uint32_t windows;
    uint32_t eighths;
    uint32_t clusters;
} job_t;

// Instructions of one part.
typedef struct {
    uint64_t total;
    uint32_t most;
} cost_t;

static uint32_t nothing;

static uint32_t padded(uint32_t size) {
    return (size + 3) & ~3u;
}

static void add(cost_t *cost, uint32_t before) {
    uint32_t spent = bare_instructions(before, bare_timer()) - nothing;
    cost->total += spent;
    cost->most = spent > cost->most ? spent : cost->most;
}

static void refused(ditmos_status_t status) {
    char line[160];
    snprintf(line, sizeof(line), "refused %s %" PRIu32 " %s\n", status.field, status.offset, status.problem);
    bare_print(line);
}

int main(void) {
    static int16_t features[MOST_FEATURES];
    static uint16_t votes[MOST_CLASSES];
    const uint8_t *at = BARE_INPUT;
    char line[40];
    bare_timer_start();
    uint32_t start = bare_timer();
    nothing = bare_instructions(start, bare_timer());
    for (;;) {
        const job_t *job = (const job_t *)(const void *)at;
        if (job->front_size == 0) {
            return 0;
        }
        at += sizeof(*job);
        ditmos_frontend_t front;
        ditmos_forest_t forest;
        ditmos_status_t status = ditmos_frontend_parse(&front, at, 0, job->front_size, job->window, job->channels, NULL);
        if (status.field) {
            refused(status);
            return 1;
        }
        at += padded(job->front_size);
        uint32_t size = ditmos_summary_size(job->channels, front.summary.bins);
        status = ditmos_forest_parse(&forest, at, 0, job->forest_size, size, job->classes, true, job->clusters,
            NULL);
        if (status.field) {
            refused(status);
            return 1;
        }
        at += padded(job->forest_size);
        uint32_t differing[PARTS] = { 0 };
        cost_t costs[PARTS] = { { 0, 0 } };
        for (uint32_t i = 0; i < job->windows; i++) {
            const int16_t *rows = (const int16_t *)(const void *)at;
            at += padded(2 * job->window * job->channels);
            uint32_t before = bare_timer();
            ditmos_summary(&front.summary, rows, features);
            add(&costs[0], before);
            differing[0] += memcmp(features, at, 2 * size) != 0;
            at += padded(2 * size);
            before = bare_timer();
            ditmos_forest_votes(&forest, features, votes);
            add(&costs[1], before);
            differing[1] += memcmp(votes, at, 2 * job->classes) != 0;
            at += padded(2 * job->classes);
            const int8_t *logits = (const int8_t *)at;
            at += padded(job->classes);
            before = bare_timer();
            uint32_t answer = ditmos_forest_both(&forest, votes, logits, job->eighths);
            add(&costs[2], before);
            differing[2] += answer != *(const uint32_t *)(const void *)at;
            at += 4;
            before = bare_timer();
            uint32_t specialist = ditmos_forest_specialist(&forest, votes);
            add(&costs[3], before);
            differing[3] += specialist != *(const uint32_t *)(const void *)at;
            at += 4;
        }
        for (unsigned i = 0; i < PARTS; i++) {
            snprintf(line, sizeof(line), "%" PRIu32 " ", differing[i]);
            bare_print(line);
        }
        for (unsigned i = 0; i < PARTS; i++) {
            snprintf(line, sizeof(line), "%" PRIu32 " %" PRIu32 "%s", (uint32_t)(costs[i].total / job->windows),
                costs[i].most, i + 1 < PARTS ? " " : "\n");
            bare_print(line);
        }
    }
}
