// What plan.c and plan_dryrun.c share.
#ifndef DITMOS_PLAN_TABLES_H
#define DITMOS_PLAN_TABLES_H

#include "plan.h"

#define HEADER_SIZE (16)
#define BUFFER_SIZE (12)
#define STAGE_SIZE (8)
#define SLICE_SIZE (4)

// File offsets of the tables, for messages.
typedef struct {
    uint32_t header;
    uint32_t buffers;
    uint32_t stages;
    uint32_t slices;
} ditmos_plan_places_t;

static inline uint64_t bit(unsigned buffer) {
    return buffer == DITMOS_NONE ? 0 : (uint64_t)1 << buffer;
}

// Select, classify, and classify again with row counters only: what each slice needs, makes and destroys, and whether
// every buffer holds what is read from it. Of tables that are in order by themselves.
ditmos_status_t ditmos_plan_dry_run(ditmos_model_t *model, const ditmos_plan_places_t *places);

#endif // DITMOS_PLAN_TABLES_H
