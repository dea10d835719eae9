// Overlapping windows for less: what was computed for the window before is shifted, and only the new rows are computed.
//
// When the window moves on by `lag` samples, a map whose rows are `step` samples apart moves by lag / step rows, exactly,
// if `step` divides `lag`. Any other map is computed anew, and so is one that padding has a part in: at both ends other
// rows would need it now. Which maps survive from
// one window to the next is a matter of the plan: ditmos.planner.stream_plan lets all of them survive.
#ifndef DITMOS_SLIDE_H
#define DITMOS_SLIDE_H

#include "engine.h"
#include "schedule.h"

// Samples from one row of each map to the next; 0 where that is not one number (fully connected layers, padding, or
// operands that disagree). Called once.
void ditmos_slide_init(ditmos_engine_t *engine);

// The window, which is there, moves on by `rows` rows, at most all: what lies at its end is to be written by the caller.
void ditmos_slide_move(ditmos_engine_t *engine, unsigned rows);

// Move the window on by `rows` (rows, channels) int8, at most a whole window. False, and nothing is done, when the plan
// has not kept the window.
bool ditmos_slide_window(ditmos_engine_t *engine, const int8_t *samples, unsigned rows);

// Before a slice runs: shift those of its maps that are left from a former window, and set the schedule to compute only
// the rows that are new.
void ditmos_slide_resume(ditmos_engine_t *engine, const ditmos_slice_t *slice, ditmos_schedule_t *schedule);

#endif // DITMOS_SLIDE_H
