// Runs summaries and forests on the host, for tests under ASan and UBSan.
//
// Reads jobs from stdin until it ends, as ditmos.bench.forests writes them (host/ditmos/bench/bare/forests.c), after a u32
// with their size. Answers each with a line "features votes answers specialists" that differ, or `bad FIELD OFFSET
// PROBLEM`.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forest.h"
#include "frontend.h"

static void *take(size_t size) {
    void *p = malloc(size ? size : 1);
    if (p == NULL) {
        exit(3);
    }
    return p;
}

// A part of a job in a block of its own, so that reading past its end is seen.
static void *part(const uint8_t **at, uint32_t size) {
    void *p = memcpy(take(size), *at, size);
    *at += (size + 3) & ~3u;
    return p;
}

static ditmos_status_t run(const uint8_t *at) {
    uint32_t head[8];
    memcpy(head, at, sizeof(head));
    at += sizeof(head);
    uint32_t window = head[2], channels = head[3], classes = head[4];
    uint8_t *front_section = part(&at, head[0]);
    uint8_t *forest_section = part(&at, head[1]);
    ditmos_frontend_t front;
    ditmos_forest_t forest;
    ditmos_status_t status = ditmos_frontend_parse(&front, front_section, 0, head[0], window, channels, NULL);
    uint32_t size = status.field ? 0 : ditmos_summary_size(channels, front.summary.bins);
    if (status.field == NULL) {
        status = ditmos_forest_parse(&forest, forest_section, 0, head[1], size, classes, true, head[7], NULL);
    }
    unsigned differing[4] = { 0, 0, 0, 0 };
    for (uint32_t i = 0; i < head[5] && status.field == NULL; i++) {
        int16_t *rows = part(&at, 2 * window * channels);
        int16_t *features = take(2 * size);
        uint16_t *votes = take(2 * classes);
        ditmos_summary(&front.summary, rows, features);
        differing[0] += memcmp(features, at, 2 * size) != 0;
        at += (2 * size + 3) & ~3u;
        ditmos_forest_votes(&forest, features, votes);
        differing[1] += memcmp(votes, at, 2 * classes) != 0;
        at += (2 * classes + 3) & ~3u;
        int8_t *logits = part(&at, classes);
        uint32_t expected[2];
        memcpy(expected, at, sizeof(expected));
        at += sizeof(expected);
        differing[2] += ditmos_forest_both(&forest, votes, logits, head[6]) != expected[0];
        differing[3] += ditmos_forest_specialist(&forest, votes) != expected[1];
        free(logits);
        free(votes);
        free(features);
        free(rows);
    }
    if (status.field == NULL) {
        printf("%u %u %u %u\n", differing[0], differing[1], differing[2], differing[3]);
    }
    free(forest_section);
    free(front_section);
    return status;
}

int main(void) {
    uint32_t size;
    while (fread(&size, 4, 1, stdin) == 1) {
        uint8_t *job = take(size);
        if (fread(job, 1, size, stdin) != size) {
            return 4;
        }
        ditmos_status_t status = run(job);
        if (status.field) {
            printf("bad %s %" PRIu32 " %s\n", status.field, status.offset, status.problem);
        }
        free(job);
    }
    return 0;
}
